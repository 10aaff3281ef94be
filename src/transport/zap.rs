//! ZAP, by which ZeroMQ asks which keys are let in: its specification 27. One thread answers for all sockets of a context.
//!
//! It is there before any socket listens, and the process ends with it: nobody must be let in because nobody was asked.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use super::curve::PublicKey;
use super::options::DOMAIN;
use super::z85::KEY_BYTES;
use crate::exit::{Exit, Failure};

/// The place at which ZeroMQ asks.
const ENDPOINT: &str = "inproc://zeromq.zap.01";
/// The message that ends the thread. Only this process reaches it.
const STOP: &[u8] = b"stop";
/// Longest wait for the end of the thread.
const STOP_MILLIS: i32 = 1000;

/// Returns the user to whom a key belongs, if it is let in; also gets the address of the peer. Called by the thread.
pub type Admit = dyn Fn(PublicKey, &str) -> Option<String> + Send + Sync;

/// The thread. Dropping it ends it.
pub(super) struct Zap {
    context: zmq::Context,
    thread: Option<JoinHandle<()>>,
}

impl Zap {
    /// Starts the thread.
    ///
    /// # Errors
    /// [`Exit::Bug`] if ZeroMQ refuses, [`Exit::Io`] if the system does.
    pub(super) fn start(context: &zmq::Context, admit: Arc<Admit>) -> Result<Self, Failure> {
        let socket = context.socket(zmq::REP).and_then(|socket| socket.bind(ENDPOINT).map(|()| socket));
        let cannot = |error| Failure::new(Exit::Bug, format!("ZeroMQ cannot ask about keys: {error}"));
        let socket = socket.map_err(cannot)?;
        let work = move || {
            let end = catch_unwind(AssertUnwindSafe(|| serve(&socket, &*admit)));
            if !matches!(end, Ok(Ok(()))) {
                eprintln!(
                    "error: the thread that checks keys has ended; nobody can be let in, and this process ends"
                );
                std::process::exit(Exit::Bug.code().into());
            }
        };
        let thread = thread::Builder::new().name("keys".into()).spawn(work);
        let thread = thread
            .map_err(|error| Failure::new(Exit::Io, format!("cannot start a thread for keys: {error}")))?;
        Ok(Self { context: context.clone(), thread: Some(thread) })
    }
}

impl Drop for Zap {
    fn drop(&mut self) {
        let stop = || {
            let socket = self.context.socket(zmq::REQ)?;
            socket.set_linger(0)?;
            socket.set_rcvtimeo(STOP_MILLIS)?;
            socket.connect(ENDPOINT)?;
            socket.send(STOP, 0)?;
            socket.recv_bytes(0)
        };
        if stop().is_ok()
            && let Some(thread) = self.thread.take()
        {
            let _ = thread.join();
        }
    }
}

fn serve(socket: &zmq::Socket, admit: &Admit) -> Result<(), zmq::Error> {
    loop {
        let request = match socket.recv_multipart(0) {
            Err(zmq::Error::EINTR) => continue,
            request => request?,
        };
        if request == [STOP] {
            return socket.send(STOP, 0);
        }
        if ends_early() {
            return Err(zmq::Error::ETERM);
        }
        socket.send_multipart(answer(&request, admit), 0)?;
    }
}

/// Returns whether the thread is to end before it answers, which test builds can be told.
fn ends_early() -> bool {
    cfg!(feature = "known-bad") && std::env::var_os("GROUPCAST_TEST_KEYS").is_some()
}

/// Returns the answer to a request: the user whose key it is, or a refusal.
#[must_use]
pub fn answer(request: &[Vec<u8>], admit: &Admit) -> [Vec<u8>; 6] {
    let user = match request {
        [version, _, domain, address, _, mechanism, key]
            if version == b"1.0" && domain == DOMAIN.as_bytes() && mechanism == b"CURVE" =>
        {
            let key = <[u8; KEY_BYTES]>::try_from(&key[..]).ok();
            key.and_then(|key| admit(PublicKey(key), &String::from_utf8_lossy(address)))
        }
        _ => None,
    };
    let (code, text) = if user.is_some() { ("200", "OK") } else { ("400", "this key is not accepted") };
    let id = request.get(1).cloned().unwrap_or_default();
    ["1.0".into(), id, code.into(), text.into(), user.unwrap_or_default().into(), Vec::new()]
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::transport::address::{Port, Site};
    use crate::transport::curve::KeyPair;
    use crate::transport::keyring::{Credential, Keyring};
    use crate::transport::monitor::Handshake;
    use crate::transport::wakeup::wait;
    use crate::transport::zmq::Context;

    fn request(parts: [&[u8]; 7]) -> Vec<Vec<u8>> {
        parts.iter().map(|part| part.to_vec()).collect()
    }

    #[test]
    fn zap_answers_with_the_user_or_refuses() {
        let admit = |key: PublicKey, address: &str| (key.0[0] == 7).then(|| format!("c1 at {address}"));
        let (good, other) = ([7; KEY_BYTES], [8; KEY_BYTES]);
        let ask = |parts: [&[u8]; 7]| {
            let [version, id, code, _, user, metadata] = answer(&request(parts), &admit);
            assert!(version == b"1.0" && id == parts[1] && metadata.is_empty());
            (String::from_utf8(code).unwrap(), String::from_utf8(user).unwrap())
        };
        let asked = [&b"1.0"[..], b"1", b"groupcast", b"10.0.0.9", b"", b"CURVE", &good];
        assert_eq!(ask(asked), ("200".to_owned(), "c1 at 10.0.0.9".to_owned()));
        for (at, wrong) in
            [(0, &b"2.0"[..]), (2, b"global"), (5, b"PLAIN"), (6, &other), (6, &good[1..]), (6, b"")]
        {
            let mut parts = asked;
            parts[at] = wrong;
            assert_eq!(ask(parts), ("400".to_owned(), String::new()), "{parts:?}");
        }
        assert_eq!(answer(&[], &admit)[2], b"400");
        assert_eq!(answer(&request(asked)[..6], &admit)[2], b"400");
    }

    #[test]
    fn zap_without_an_answer_lets_nobody_in() {
        let address = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let port_base = address.unwrap().port() - Port::Sync.number(0);
        let site = Site { host: "127.0.0.1".to_owned(), port_base };
        let pair = KeyPair::new().unwrap();
        let credential = Credential { own: pair.clone(), forwarder: pair.public };
        let keys = || Keyring::new(vec![credential.clone()], Box::new(|| None));
        let (server, client) = (Context::with_keys(keys()), Context::with_keys(keys()));
        let listens = server.listen_sync(std::slice::from_ref(&site)).unwrap();
        let asks = client.asker(&site).unwrap();
        asks.ask(b"hello");
        listens.raw.set_rcvtimeo(2000).unwrap();
        assert!(listens.raw.recv_bytes(0).is_err(), "nobody has let the key in");
        let outcomes: Vec<Handshake> = std::iter::from_fn(|| asks.handshake()).collect();
        assert!(outcomes.contains(&Handshake::Begun), "it was there: {outcomes:?}");
        assert!(!outcomes.contains(&Handshake::Succeeded), "{outcomes:?}");
    }

    #[test]
    fn zap_thread_ends_with_its_context() {
        let context = zmq::Context::new();
        let zap = Zap::start(&context, Arc::new(|_, _| None)).unwrap();
        assert!(Zap::start(&context, Arc::new(|_, _| None)).is_err(), "there is one of it");
        drop(zap);
        // ZeroMQ's own thread gives the place free a little later.
        let again = || {
            wait([], Duration::from_millis(10));
            Zap::start(&context, Arc::new(|_, _| None)).ok()
        };
        assert!((0..1000).find_map(|_| again()).is_some());
    }
}
