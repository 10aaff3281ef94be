//! Station 9, in the middle: carries packets from one member to one other, and reports those that it cannot deliver.

use std::collections::BTreeMap;
use std::sync::Arc;

use clap::Args;

use crate::cli::{self, Voice};
use crate::driver::service::{Server, Service};
use crate::engine::Time;
use crate::exit::{Exit, Failure};
use crate::keys::{Admission, Reload, context};
use crate::session::{CONNECT_LIMIT, SAY_EVERY};
use crate::talk::{self, Talk};
use crate::transport::address::{Addresses, Port, Site, Use, addresses, addresses_to_listen_on};
use crate::transport::limits;
use crate::transport::resolve;
use crate::transport::routed::{Connection, Routed, RoutedPacket};
use crate::transport::signals::Signals;
use crate::transport::zmq::{Context, Sent, Socket};
use crate::wire::control::{GroupEntry, Role};
use crate::wire::packet::{bare, probe};
use crate::wire::{Header, Kind};

/// The options of `router`.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Address to listen on: a host, or HOST:PORT with the first of the ports; several with commas between. Other machines
    /// reach any but loopback: see --insecure
    #[arg(long, value_name = "ADDRESS", env = "GROUPCAST_BIND", hide_env = true, default_value = "127.0.0.1", value_parser = addresses_to_listen_on)]
    pub bind: Addresses,
    /// First of the four ports; the router listens on the fourth (+3)
    #[arg(long, value_name = "PORT", env = "GROUPCAST_PORT_BASE", hide_env = true, default_value_t = cli::DEFAULT_PORT_BASE, value_parser = cli::port_base())]
    pub port_base: u16,
    /// The forwarders that it serves, if there are several, as for `client`; else the one on the same host and ports
    #[arg(long, value_name = "ADDRESS", env = "GROUPCAST_CONNECT", hide_env = true, value_parser = addresses)]
    pub connect: Option<Addresses>,
    /// Serve one run after the other instead of ending after the first; a signal between two runs ends it with exit
    /// code 0
    #[arg(long, env = "GROUPCAST_STAY", hide_env = true, value_parser = clap::builder::FalseyValueParser::new())]
    pub stay: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub forwarder: cli::Forwarder,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub threads: cli::Threads,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub access: cli::Access,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub voice: Voice,
}

const PACKETS_PER_TURN: usize = 256;
/// Most names of unreachable receivers that are remembered for the report; a peer must not make it grow.
const MAX_NAMES: usize = 64;
/// Most routes of members, where keys are used: one key for any id must not make them grow.
const MAX_ROUTES: usize = 65_536;
/// Most connections of one member.
const MAX_CONNECTIONS: usize = 4;

/// Runs the router until the forwarder reports the end of the run.
///
/// # Errors
/// [`Exit::Unavailable`] if the port is taken or the forwarder is lost, [`Exit::Config`] if an address is not on this
/// machine alone without consent, and interruption.
pub fn run(options: &Options, talk: &Talk) -> anyhow::Result<Exit> {
    limits::suffice(0)?;
    let has_keys = options.access.keys.is_some();
    let signals = if has_keys { Signals::catch_others()? } else { Signals::catch()? };
    let (context, admission) = context::of_server(&options.access, options.threads)?;
    let own = options.bind.sites("--bind", options.port_base)?;
    options.access.check(&own, Use::Listen)?;
    let sites = match &options.connect {
        Some(connect) => connect.sites("--connect", options.port_base)?,
        None => vec![reachable(&own[0])],
    };
    options.access.check(&sites, Use::Connect)?;
    let socket = context.listen_router(&resolve::listening(&own, Some(&signals), CONNECT_LIMIT)?)?;
    let listens = |site: &Site| format!("{}: {}", site.host, Port::Router.number(site.port_base));
    talk.say(format!("listening on {}", talk::list(&own.iter().map(listens).collect::<Vec<_>>())));
    let mut server = Server::connect(&context, &sites, (Role::Router, "router"), options.stay, talk)?;
    server.wait_for_lost(options.forwarder.forwarder_timeout);
    let mut router = Router {
        socket,
        context: &context,
        reload: Reload::begin(&options.access, admission.as_ref())?,
        admission,
        addresses: BTreeMap::new(),
        is_serving: false,
        undeliverable: BTreeMap::new(),
        passed: 0,
        lost: 0,
        said: Time::ZERO,
        talk,
    };
    Ok(server.run(&signals, &mut router)?)
}

/// Returns the address by which to connect to a process that listens on `own`.
fn reachable(own: &Site) -> Site {
    let host = match &*own.host {
        "*" | "0.0.0.0" => "127.0.0.1",
        "[::]" => "[::1]",
        host => host,
    };
    Site { host: host.to_owned(), ..*own }
}

struct Router<'a> {
    socket: Socket,
    context: &'a Context,
    /// The keys that are let in, if there are keys.
    admission: Option<Arc<Admission>>,
    reload: Option<Reload>,
    /// With keys, the addresses of each member by its route, the newest last.
    addresses: BTreeMap<String, Vec<Vec<u8>>>,
    /// Whether a run is under way, as far as the forwarder has reported.
    is_serving: bool,
    /// The undeliverable packets since the last report, counted by receiver.
    undeliverable: BTreeMap<String, u64>,
    passed: u64,
    lost: u64,
    said: Time,
    talk: &'a Talk,
}

impl Service for Router<'_> {
    fn socket(&self) -> Option<&Socket> {
        Some(&self.socket)
    }

    fn turn(&mut self, now: Time) -> Result<(), Failure> {
        for _ in 0..PACKETS_PER_TURN {
            match self.socket.take_routed() {
                Some(Ok(routed)) => self.take(routed),
                Some(Err(_)) => {}
                None => break,
            }
        }
        if let Some(admission) = &self.admission {
            admission.report(now, self.talk);
        }
        if let Some(own) = self.reload.as_mut().and_then(|reload| reload.look(now, self.talk)) {
            self.context.listen_again(&own, &mut [&mut self.socket])?;
            // Each member announces its route anew.
            self.addresses.clear();
        }
        if !self.undeliverable.is_empty() && now.since(self.said) >= SAY_EVERY {
            self.said = now;
            for (name, count) in std::mem::take(&mut self.undeliverable) {
                self.talk.warn(format!(
                    "cannot deliver to {name}: not connected ({count} packets; they will be sent again)"
                ));
            }
        }
        Ok(())
    }

    fn serve(&mut self, _at: usize, groups: Vec<GroupEntry>) -> Result<(), Failure> {
        self.is_serving = !groups.is_empty();
        Ok(())
    }

    fn is_idle(&self) -> bool {
        !self.is_serving
    }

    fn pause(&mut self) {
        self.is_serving = false;
    }

    fn finish(&mut self) -> Result<(), Failure> {
        let Self { passed, lost, .. } = self;
        self.talk.detail(format!("{passed} packets passed on, {lost} could not be delivered at once"));
        Ok(())
    }
}

impl Router<'_> {
    /// Takes a message, if the key of its connection is good for the route that the member announces.
    fn take(&mut self, Routed { connection, packet }: Routed) {
        let Connection { address, announced } = connection;
        let route = match (&self.admission, announced) {
            (None, _) => None,
            (Some(admission), Some((user, route))) if admission.may_take(&user, &route) => Some(route),
            (Some(_), _) => return,
        };
        match (packet, route) {
            (Some(packet), route) => self.route(packet, route.as_deref(), &address),
            (None, Some(route)) => self.arrives(route, address),
            (None, None) => {}
        }
    }

    /// Notes the address of a member that has connected. Earlier connections of it may be dead, or those of another run.
    fn arrives(&mut self, route: String, address: Vec<u8>) {
        if !self.addresses.contains_key(&route) && self.addresses.len() >= MAX_ROUTES {
            let why = format!("too many members announce themselves; {} is left out", route.escape_default());
            return self.talk.warn(why);
        }
        let addresses = self.addresses.entry(route).or_default();
        if addresses.len() == MAX_CONNECTIONS {
            addresses.remove(0);
        }
        addresses.push(address);
    }

    /// Passes a packet to all connections of a member, and forgets those that are gone. Returns whether there was one.
    fn pass_to_all(&mut self, packet: &mut RoutedPacket, from: &[u8], to: &str) -> bool {
        let Some(addresses) = self.addresses.get_mut(to) else { return false };
        let (is_alone, mut is_passed) = (addresses.len() == 1, false);
        addresses.retain(|address| {
            let sent = match is_alone {
                true => packet.pass_on(&self.socket, from, address),
                false => packet.copy_to(&self.socket, from, address),
            };
            is_passed |= sent == Sent::Handed;
            sent != Sent::Unreachable
        });
        if addresses.is_empty() {
            self.addresses.remove(to);
        }
        is_passed
    }

    /// Passes a packet on. Without keys, the address of a member is its route.
    fn route(&mut self, mut packet: RoutedPacket, from: Option<&str>, sender: &[u8]) {
        let header = packet.header;
        if packet.to().is_empty() {
            if header.kind == Kind::Probe {
                packet.answer(&self.socket, sender, &probe(header.run, header.sender, header.to));
            }
            return;
        }
        let to = String::from_utf8_lossy(packet.to()).into_owned();
        let is_passed = match from {
            None => packet.pass_on(&self.socket, sender, to.as_bytes()) == Sent::Handed,
            Some(from) => self.pass_to_all(&mut packet, from.as_bytes(), &to),
        };
        if is_passed {
            self.passed += 1;
            return;
        }
        self.lost += 1;
        if self.undeliverable.contains_key(&to) || self.undeliverable.len() < MAX_NAMES {
            *self.undeliverable.entry(to).or_default() += 1;
        }
        let undeliverable = bare(Header { kind: Kind::Undeliverable, ..header }).frames;
        packet.answer(&self.socket, sender, &undeliverable);
    }
}
