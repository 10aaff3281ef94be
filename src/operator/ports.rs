//! The ports of a cluster on this machine: one of TCP for the web pages of each server, one of UDP for its datagrams.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::time::Duration;

use crate::driver::clock;
use crate::exit::{Exit, Failure};
use crate::processes::Ports;
use crate::transport::holder;
use crate::transport::wakeup::wait;

/// The distance from the first port of the web pages to that of the datagrams, with `--port-base`.
const UDP_ABOVE: u16 = 100;
/// The time that a port has to become free: the servers of an `up` that was killed are ending.
const FREE_WITHIN: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Bound ports that keep other runs of this program from taking the free ones.
#[derive(Debug, Default)]
pub(super) struct Claims(
    // Only held.
    #[allow(dead_code, reason = "dropping them gives the ports free")] Vec<Ports>,
);

/// Chooses the ports of so many servers: of the web pages, and of the datagrams.
///
/// # Errors
/// [`Exit::Unavailable`] if there seem to be none.
pub(super) fn choose(servers: usize, port_base: Option<u16>) -> Result<(Claims, Vec<(u16, u16)>), Failure> {
    let Some(base) = port_base else {
        let (claims, mut web) = Ports::free_for_datagrams(2 * servers)?;
        let udp = web.split_off(servers);
        return Ok((Claims(claims), web.into_iter().zip(udp).collect()));
    };
    let is_free = |port: &u16| UdpSocket::bind(("127.0.0.1", *port)).is_ok();
    let udp = (base + UDP_ABOVE..=u16::MAX).filter(is_free);
    let ports: Vec<(u16, u16)> = (base..).zip(udp).take(servers).collect();
    if ports.len() < servers {
        let why = format!("cannot find {servers} free UDP ports above {}", base + UDP_ABOVE);
        return Err(Failure::new(Exit::Unavailable, why).help("choose a lower --port-base"));
    }
    Ok((Claims::default(), ports))
}

/// Checks that the two ports of a server are free; waits a few seconds for them.
///
/// # Errors
/// [`Exit::Unavailable`] with the process that has one, as far as the system tells it.
pub(super) fn check(web: SocketAddr, udp: SocketAddr) -> Result<(), Failure> {
    let start = clock::calendar();
    loop {
        let pages = TcpListener::bind(web).map_err(|error| ("tcp", web, error));
        let both = pages.and_then(|_| UdpSocket::bind(udp).map_err(|error| ("udp", udp, error)));
        let Err((protocol, address, error)) = both else { return Ok(()) };
        let is_late = clock::calendar().saturating_sub(start) >= FREE_WITHIN;
        if error.kind() != io::ErrorKind::AddrInUse || is_late {
            let failure = holder::cannot_listen(&format!("{protocol}://{address}"), &error);
            return Err(failure.help(
                "end that program, or name a new folder: --port-base chooses its ports, and without it free ones are found",
            ));
        }
        wait([], LOOK_EVERY);
    }
}
