//! The WebSocket of a server: a thread of its own reads the events.

use std::io;
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use tungstenite::{Message, WebSocket, client};

use super::server::{CONNECT_LIMIT, cause};
use super::told::Event;
use crate::lock::lock;
use crate::transport::wakeup::Waker;

/// Most events that wait; with as many, nothing is read.
const MOST_EVENTS: usize = 1000;
/// The silence after which a server is lost: it pings every 20 s.
const SILENCE: Duration = Duration::from_secs(45);
/// The code of a close: this client did not read, and comes again.
const BEHIND: u16 = 4000;

/// News of a socket.
#[derive(Debug)]
pub(super) enum Heard {
    Event(Event),
    /// It has ended, because this client was too slow.
    Behind,
    /// It has ended.
    Ended(String),
}

/// The events of a server, until this is dropped.
#[derive(Debug)]
pub(super) struct Socket {
    heard: Receiver<Heard>,
    stream: Arc<Mutex<Stream>>,
}

/// The connection, for its end.
#[derive(Debug, Default)]
struct Stream {
    stream: Option<TcpStream>,
    is_closed: bool,
}

impl Socket {
    /// Begins to ask a server at `HOST:PORT` for the events of this path and query.
    pub(super) fn open(address: &str, path: &str, waker: Waker) -> Self {
        let (sender, heard) = sync_channel(MOST_EVENTS);
        let stream = Arc::new(Mutex::new(Stream::default()));
        let (theirs, address, url) =
            (Arc::clone(&stream), address.to_owned(), format!("ws://{address}{path}"));
        thread::spawn(move || {
            let end = match connect(&address, &url, &theirs) {
                Ok(mut socket) => read_all(&mut socket, &sender, &waker),
                Err(why) => Heard::Ended(why),
            };
            // The loop may have let go of it.
            let _ = sender.send(end);
            waker.wake();
        });
        Self { heard, stream }
    }

    /// Returns what has come.
    pub(super) fn take(&self) -> Option<Heard> {
        match self.heard.try_recv() {
            Ok(heard) => Some(heard),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => Some(Heard::Ended("the connection has ended".to_owned())),
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let mut stream = lock(&self.stream);
        stream.is_closed = true;
        if let Some(stream) = &stream.stream {
            // It may be closed already.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn connect(address: &str, url: &str, shared: &Mutex<Stream>) -> Result<WebSocket<TcpStream>, String> {
    let stream = connected(address).map_err(|error| cause(&error))?;
    {
        let mut shared = lock(shared);
        if shared.is_closed {
            return Err("it is not needed any more".to_owned());
        }
        shared.stream = stream.try_clone().ok();
    }
    client(url, stream).map(|(socket, _)| socket).map_err(|error| error.to_string())
}

fn connected(address: &str) -> io::Result<TcpStream> {
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for address in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, CONNECT_LIMIT) {
            Ok(stream) => {
                stream.set_read_timeout(Some(SILENCE))?;
                stream.set_write_timeout(Some(SILENCE))?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Passes events on until there are no more.
fn read_all(socket: &mut WebSocket<TcpStream>, sender: &SyncSender<Heard>, waker: &Waker) -> Heard {
    loop {
        let heard = match socket.read() {
            Ok(Message::Text(text)) => match serde_json::from_str(&text) {
                Ok(event) => Heard::Event(event),
                Err(error) => return Heard::Ended(format!("no event of a chat server: {error}")),
            },
            Ok(Message::Ping(_)) => {
                // The answer is ready, and has to leave before the next event.
                if let Err(error) = socket.flush() {
                    return Heard::Ended(ending(&error));
                }
                continue;
            }
            Ok(Message::Close(Some(frame))) if u16::from(frame.code) == BEHIND => return Heard::Behind,
            Ok(Message::Close(Some(frame))) => return Heard::Ended(frame.reason.to_string()),
            Ok(Message::Close(None)) => return Heard::Ended("it has closed the connection".to_owned()),
            Ok(_) => continue,
            Err(error) => return Heard::Ended(ending(&error)),
        };
        if sender.send(heard).is_err() {
            return Heard::Ended(String::new());
        }
        waker.wake();
    }
}

fn ending(error: &tungstenite::Error) -> String {
    match error {
        tungstenite::Error::Io(error) if error.kind() == io::ErrorKind::WouldBlock => {
            format!("nothing was heard for {SILENCE:?}")
        }
        tungstenite::Error::Io(error) => cause(error),
        // The connection ended in the middle, without a farewell.
        tungstenite::Error::Protocol(_) | tungstenite::Error::ConnectionClosed => {
            "the connection has ended".to_owned()
        }
        other => other.to_string(),
    }
}
