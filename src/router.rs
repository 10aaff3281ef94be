//! Station 9, in the middle: carries packets from one member to one other, and reports those that it cannot deliver.

use std::collections::BTreeMap;

use clap::Args;

use crate::cli::{self, Voice};
use crate::driver::{Clock, ForwarderLinks, clock};
use crate::engine::Time;
use crate::exit::{Exit, Failure};
use crate::session::attendance::News;
use crate::session::{CONNECT_LIMIT, SAY_EVERY};
use crate::talk::{self, Talk};
use crate::transport::address::{Addresses, Port, Site, addresses, addresses_to_listen_on};
use crate::transport::limits;
use crate::transport::resolve;
use crate::transport::signals::{Signals, interruption};
use crate::transport::zmq::{self, Context, Routed, Socket};
use crate::wire::control::{Ask, Identity, Role};
use crate::wire::packet::{bare, probe};
use crate::wire::{Header, Kind};

/// The options of `router`.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Address to listen on: a host, or HOST:PORT with the first of the ports; several with commas between. Anything but
    /// 127.0.0.1 lets other machines in
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
    pub voice: Voice,
}

const PACKETS_PER_TURN: usize = 256;
/// Most names of unreachable receivers that are remembered for the report; a peer must not make it grow.
const MAX_NAMES: usize = 64;

/// Runs the router until the forwarder reports the end of the run.
///
/// # Errors
/// [`Exit::Unavailable`] if the port is taken or the forwarder is lost, and interruption.
pub fn run(options: &Options, talk: &Talk) -> anyhow::Result<Exit> {
    limits::suffice(0)?;
    let signals = Signals::catch()?;
    let context = Context::default();
    let own = options.bind.sites("--bind", options.port_base)?;
    let socket = context.listen_router(&resolve::listening(&own, Some(&signals), CONNECT_LIMIT)?)?;
    let listens = |site: &Site| format!("{}: {}", site.host, Port::Router.number(site.port_base));
    talk.say(format!("listening on {}", talk::list(&own.iter().map(listens).collect::<Vec<_>>())));
    let mut clock = Clock::start();
    let who = identity(Role::Router, "router");
    let limit = (!options.stay).then_some(CONNECT_LIMIT);
    let sites = match &options.connect {
        Some(connect) => connect.sites("--connect", options.port_base)?,
        None => vec![reachable(&own[0])],
    };
    let mut forwarders = ForwarderLinks::new(&context, &sites, clock.now(), &who, &Ask::Attend, limit)?;
    forwarders.wait_for_lost(options.forwarder.forwarder_timeout);
    let mut router =
        Router { socket, undeliverable: BTreeMap::new(), passed: 0, lost: 0, said: Time::ZERO, talk };
    // Whether a run is under way, as far as the forwarder has reported.
    let mut is_serving = false;
    loop {
        let now = clock.now();
        let limit = forwarders.next_deadline().since(now).min(clock::LONGEST_WAIT);
        let sockets: Vec<&Socket> = forwarders.sockets().chain([&router.socket]).collect();
        let is_asked = zmq::wait(&sockets, signals.fds(), limit);
        let now = clock.now();
        if is_asked && let Some(exit) = signals.received() {
            let failure = interruption(exit);
            forwarders.leave(now, &failure);
            return if options.stay && !is_serving { Ok(Exit::Ok) } else { Err(failure.into()) };
        }
        router.turn(now);
        match attend(&mut forwarders, &mut is_serving, now, talk) {
            Ok(true) if !options.stay => break,
            // The forwarder, or the next one, may have another run.
            Ok(true) => forwarders.rest(now),
            Err(failure) if options.stay && failure.exit != Exit::Config => {
                talk.warn(&failure.message);
                forwarders.rest(now);
            }
            Ok(false) => {}
            Err(failure) => return Err(failure.into()),
        }
    }
    router.report();
    Ok(Exit::Ok)
}

/// Handles the answers of the forwarders; returns whether everything is over.
fn attend(
    forwarders: &mut ForwarderLinks,
    is_serving: &mut bool,
    now: Time,
    talk: &Talk,
) -> Result<bool, Failure> {
    let all = forwarders.turn(now, talk).inspect_err(|_| *is_serving = false)?;
    for (from, news) in all {
        match news {
            News::Groups(groups) => *is_serving = !groups.is_empty(),
            News::End => {
                *is_serving = false;
                forwarders.over(now, "");
                return Ok(true);
            }
            News::Failed(failure) => {
                forwarders.lose(from, failure, now, talk).inspect_err(|_| *is_serving = false)?;
            }
            _ => {}
        }
    }
    Ok(false)
}

/// Returns the identity of a process that serves every group.
#[must_use]
pub(crate) fn identity(role: Role, id: &str) -> Identity {
    let (group, order, method) = (String::new(), String::new(), String::new());
    Identity {
        group,
        id: id.to_owned(),
        role,
        nonce: clock::nonce(),
        incarnation: 0,
        order,
        method,
        can_sequence: false,
        late: false,
    }
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
    /// The undeliverable packets since the last report, counted by receiver.
    undeliverable: BTreeMap<String, u64>,
    passed: u64,
    lost: u64,
    said: Time,
    talk: &'a Talk,
}

impl Router<'_> {
    fn turn(&mut self, now: Time) {
        for _ in 0..PACKETS_PER_TURN {
            let Some(routed) = self.socket.take_routed() else { break };
            if let Some((routed, header)) =
                routed.and_then(|routed| routed.header().map(|header| (routed, header)))
            {
                self.route(routed, header);
            }
        }
        if !self.undeliverable.is_empty() && now.since(self.said) >= SAY_EVERY {
            self.said = now;
            for (name, count) in std::mem::take(&mut self.undeliverable) {
                self.talk.warn(format!(
                    "cannot deliver to {name}: not connected ({count} packets; they will be sent again)"
                ));
            }
        }
    }

    fn route(&mut self, mut routed: Routed, header: Header) {
        let to = routed.to();
        if to.is_empty() {
            if header.kind == Kind::Probe {
                routed.answer(&self.socket, &probe(header.run, header.sender, header.to));
            }
            return;
        }
        if routed.pass_on(&self.socket) {
            self.passed += 1;
            return;
        }
        self.lost += 1;
        if self.undeliverable.contains_key(&to) || self.undeliverable.len() < MAX_NAMES {
            *self.undeliverable.entry(to).or_default() += 1;
        }
        routed.answer(&self.socket, &bare(Header { kind: Kind::Undeliverable, ..header }).frames);
    }

    fn report(&self) {
        self.talk.detail(format!(
            "{} packets passed on, {} could not be delivered at once",
            self.passed, self.lost
        ));
    }
}
