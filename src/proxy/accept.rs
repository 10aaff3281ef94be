//! The acceptance of connections: a thread for each port, and one for each connection until it has reached its server.

use std::io;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use super::pump;
use super::relay::Relay;

/// Accepts connections at one of the ports.
pub(super) fn start(relay: &Arc<Relay>, port: usize, listener: TcpListener) -> io::Result<()> {
    let relay = Arc::clone(relay);
    let accept = move || {
        loop {
            match listener.accept() {
                Ok((member, _)) if relay.admits(port) => {
                    let relay = Arc::clone(&relay);
                    // If there is no thread, the closure is dropped and closes the connection, and the member
                    // connects again.
                    drop(thread::Builder::new().spawn(move || connect(&relay, port, member)));
                }
                Ok(_) => {}
                // Most likely too many files are open: waiting is better than spinning.
                Err(_) => relay.rest(),
            }
        }
    };
    thread::Builder::new().spawn(accept).map(drop)
}

fn connect(relay: &Arc<Relay>, port: usize, member: TcpStream) {
    let Some(connection) = relay.connect(port, member) else { return };
    for is_up in [true, false] {
        if pump::start(relay, &connection, is_up).is_err() {
            connection.close();
            relay.forget(&connection);
        }
    }
}
