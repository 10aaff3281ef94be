//! One attempt to shake hands with a port, to find out why a process is not let in.

use super::address::{Port, Site};
use super::keyring::Credential;
use super::link::is_ipv6;
use super::monitor::{Handshake, Monitor};
use super::options::{self, MAX_FRAME};
use super::zmq::failed;
use crate::exit::Failure;

/// The interval at which an attempt looks for news, in milliseconds …
const LOOK_EVERY: i64 = 100;
/// … and the number of times, with and without news: two seconds, within which a handshake on a slow line is done.
const LOOKS: usize = 20;
/// Handshakes in a row that break off for a reason: of another key than expected, only the other side is told.
const BROKEN: usize = 3;

/// The welcome that a port gives to a process with keys.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Welcome {
    /// It lets the key in.
    Ok,
    /// It does not accept the key.
    Denied,
    /// It uses no keys.
    Plain,
    /// It has another key than expected, or does not speak ZeroMQ.
    Other,
    /// Nobody is there.
    Nobody,
    /// It accepts connections, and says nothing.
    Silent,
}

/// Returns the welcome that a port gives to a process with any of these keys, within some seconds. Its host is a number.
///
/// # Errors
/// [`Exit::Bug`](crate::exit::Exit::Bug) if ZeroMQ refuses, which it has no reason to.
pub(crate) fn try_port(site: &Site, port: Port, known: &[Credential]) -> Result<Welcome, Failure> {
    for credential in known {
        match shake_hands(site, port, Some(credential))? {
            Welcome::Other => {}
            welcome => return Ok(welcome),
        }
    }
    Ok(if shake_hands(site, port, None)? == Welcome::Ok { Welcome::Plain } else { Welcome::Other })
}

fn shake_hands(site: &Site, port: Port, credential: Option<&Credential>) -> Result<Welcome, Failure> {
    let context = zmq::Context::new();
    let monitor = begin(&context, site, port, credential);
    let (_socket, monitor) = monitor.map_err(|error| failed("try a port", error))?;
    let (mut is_there, mut broken) = (false, 0);
    for _ in 0..LOOKS {
        match monitor.wait(LOOK_EVERY) {
            None => {}
            Some(Handshake::Begun) => is_there = true,
            Some(Handshake::Succeeded) => return Ok(Welcome::Ok),
            Some(Handshake::Denied) => return Ok(Welcome::Denied),
            Some(Handshake::Mismatched) => return Ok(Welcome::Other),
            Some(Handshake::Failed) => broken += 1,
        }
        if broken == BROKEN {
            return Ok(Welcome::Other);
        }
    }
    Ok(match (is_there, broken) {
        (false, _) => Welcome::Nobody,
        (true, 0) => Welcome::Silent,
        (true, _) => Welcome::Other,
    })
}

/// Begins to connect, with a socket as that of a member.
fn begin(
    context: &zmq::Context,
    site: &Site,
    port: Port,
    credential: Option<&Credential>,
) -> Result<(zmq::Socket, Monitor), zmq::Error> {
    let kind = match port {
        Port::In => zmq::PUB,
        Port::Out => zmq::SUB,
        Port::Sync | Port::Router => zmq::DEALER,
    };
    let mut socket = context.socket(kind)?;
    options::set(&mut socket, options::encrypted(MAX_FRAME))?;
    socket.set_linger(0)?;
    let monitor = Monitor::of(context, &socket)?;
    if let Some(credential) = credential {
        options::prove_key(&socket, credential)?;
    }
    let endpoint = site.endpoint(port);
    socket.set_ipv6(is_ipv6(&endpoint))?;
    socket.connect(&endpoint)?;
    Ok((socket, monitor))
}
