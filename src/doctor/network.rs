//! Checks of the ports that a run would listen on, of ZeroMQ on loopback, and of the receive buffer of UDP.

use std::io::{self, ErrorKind};
use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use super::Finding;
use crate::driver::Clock;
use crate::engine::Time;
use crate::exit::{Exit, Failure};
use crate::transport::address::{Port, Site};
use crate::transport::holder;
use crate::transport::resolve;
use crate::transport::udp;
use crate::transport::zmq::{self, Context};
use crate::units;
use crate::wire::Frames;

/// The time after which a probe on this machine is lost.
const LIMIT: Duration = Duration::from_secs(3);
/// The time after which a name is not found.
const LOOKUP_LIMIT: Duration = Duration::from_secs(10);
/// The interval at which the probe is sent again: a subscription takes a moment.
const AGAIN: Duration = Duration::from_millis(20);
/// The length of a usual datagram of a cluster, in bytes.
const DATAGRAM: usize = 1200;
/// The receive buffer of UDP from which a larger one gains little: windows of senders fit.
const ENOUGH_ROOM: usize = 4 << 20;
/// The content of the probe.
const PROBE: &[u8] = b"probe";

/// Checks that a forwarder and a router could listen at each of these sites.
pub(super) fn ports(sites: &[Site]) -> Vec<Finding> {
    sites.iter().flat_map(ports_of).collect()
}

fn ports_of(site: &Site) -> Vec<Finding> {
    if let Some(path) = site.path() {
        let folder = Path::new(path).parent().filter(|folder| *folder != Path::new(""));
        return match folder.is_none_or(Path::is_dir) {
            true => vec![Finding::ok("ports", format!("{} needs none", site.host))],
            false => {
                let says = format!("nobody can listen on {}: its folder is not there", site.host);
                vec![Finding::fail("ports", says, "make the folder, or choose another with --bind")]
            }
        };
    }
    let numbered = match resolve::listening(std::slice::from_ref(site), None, LOOKUP_LIMIT) {
        Ok(numbered) => numbered,
        Err(failure) => {
            return vec![Finding::fail("ports", failure.message, failure.help.unwrap_or_default())];
        }
    };
    let found: Vec<Finding> = numbered
        .iter()
        .flat_map(|site| Port::ALL.map(|port| (site, port)))
        .filter_map(|(site, port)| {
            let number = port.number(site.port_base);
            // The host as the standard library writes it.
            let host = site.host.replace('*', "0.0.0.0").replace(['[', ']'], "");
            let error = TcpListener::bind((&*host, number)).err()?;
            Some(taken(&site.endpoint(port), number, &error))
        })
        .collect();
    if found.is_empty() {
        let Site { host, port_base } = site;
        return vec![Finding::ok("ports", format!("{port_base} to {} on {host} are free", port_base + 3))];
    }
    found
}

fn taken(endpoint: &str, port: u16, error: &io::Error) -> Finding {
    match (error.kind(), holder::of(endpoint)) {
        (ErrorKind::AddrInUse, Some(holder)) => Finding::fail(
            "ports",
            format!("{port} is held by {holder}"),
            "end it, or choose other ports with --port-base",
        ),
        (ErrorKind::AddrInUse, None) => {
            Finding::fail("ports", format!("{port} is in use"), "choose other ports with --port-base")
        }
        (ErrorKind::PermissionDenied, _) => Finding::fail(
            "ports",
            format!("{port} is not for you: {error}"),
            "ports below 1024 are for root: choose others with --port-base",
        ),
        _ => Finding::fail(
            "ports",
            format!("nobody can listen on {endpoint}: {error}"),
            "is --bind an address of this machine? 127.0.0.1 always is",
        ),
    }
}

/// Checks that packets and requests get through ZeroMQ on this machine.
pub(super) fn loopback() -> Finding {
    let help = "does a firewall or a sandbox keep processes of this machine from one another on 127.0.0.1?";
    // Another process may take a port between the search for a free one and its use.
    match probe().or_else(|_| probe()) {
        Ok(took) => Finding::ok(
            "loopback",
            format!("a packet and a request went through ZeroMQ in {}", units::duration(took)),
        ),
        Err(failure) => Finding::fail("loopback", failure.message, help),
    }
}

/// Publishes to itself and asks itself, as a member and a forwarder do; returns the time that it took.
fn probe() -> Result<Duration, Failure> {
    let context = Context::default();
    let (group, question) = ([free_site(Port::Out)?], [free_site(Port::Sync)?]);
    let (publisher, subscriber) = (context.listen_out(&group)?, context.subscriber(&group)?);
    subscriber.subscribe(PROBE)?;
    let (answerer, asker) = (context.listen_sync(&question)?, context.asker(&question[0])?);
    let packet = Frames { header: PROBE.into(), body: PROBE.into() };
    let (mut heard, mut answered) = (false, false);
    let mut clock = Clock::start();
    asker.ask(PROBE);
    loop {
        publisher.publish(PROBE, &packet);
        zmq::wait(&[&subscriber, &answerer, &asker], [], AGAIN);
        heard |= subscriber.hear().and_then(Result::ok).is_some_and(|frames| frames == packet);
        if let Some(asked) = answerer.asked().and_then(Result::ok) {
            answerer.reply(&asked.asker, &asked.request);
        }
        answered |= asker.answer().and_then(Result::ok).is_some_and(|reply| reply == PROBE);
        let took = clock.now().since(Time::ZERO);
        match (heard, answered) {
            (true, true) => return Ok(took),
            _ if took < LIMIT => {}
            (true, false) => return Err(lost("a request had no answer (DEALER, ROUTER)")),
            (false, true) => return Err(lost("a packet did not arrive (PUB, SUB)")),
            (false, false) => return Err(lost("neither a packet nor a request arrived")),
        }
    }
}

fn lost(what: &str) -> Failure {
    Failure::new(Exit::TimedOut, format!("{what} within {}", units::duration(LIMIT)))
}

/// Returns a site on loopback whose port was free a moment ago.
fn free_site(port: Port) -> Result<Site, Failure> {
    let host = "127.0.0.1";
    let address = TcpListener::bind((host, 0)).and_then(|listener| listener.local_addr());
    address
        .map(|address| Site { host: host.to_owned(), port_base: address.port() - port.number(0) })
        .map_err(|error| Failure::new(Exit::Unavailable, format!("cannot listen on {host}: {error}")))
}
/// Checks the receive buffer of UDP, in which a cluster has room for what comes while a member is busy. A small one is no
/// obstacle: members send no more than the others have room for.
pub(super) fn udp() -> Option<Finding> {
    udp::room_here().map(judge_room)
}

fn judge_room(room: usize) -> Finding {
    let datagrams = udp::room_for(room, DATAGRAM);
    let says = format!("a receive buffer of {} KiB, room for {datagrams} datagrams of a cluster", room >> 10);
    let help = (room < ENOUGH_ROOM).then(|| {
        "clusters are faster with more: `sysctl -w net.core.rmem_max=4194304` before they start".to_owned()
    });
    Finding { help, ..Finding::ok("udp", says) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;

    #[test]
    fn room_for_datagrams_is_told_and_a_small_one_is_no_failure() {
        let small = judge_room(212_992);
        assert_eq!((small.verdict, small.help.is_some()), (Verdict::Ok, true));
        assert_eq!(small.says, "a receive buffer of 208 KiB, room for 92 datagrams of a cluster");
        assert_eq!(judge_room(8 << 20).help, None);
    }
}
