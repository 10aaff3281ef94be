//! Station 9, in the middle: copies each packet from one member to all, and keeps the registry of all groups.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use clap::Args;

use crate::cli::{self, Voice};
use crate::driver::{Clock, clock};
use crate::embedded::EmbeddedSequencer;
use crate::engine::{Time, sooner};
use crate::exit::{Exit, Failure};
use crate::keys::{Admission, Reload, context};
use crate::log::Retain;
use crate::member::DetectorConfig;
use crate::sequencer;
use crate::session::actions::{Actions, Asker, Rules, refused};
use crate::session::registry::Registry;
use crate::session::{LOST_AFTER, SAY_EVERY, clients};
use crate::talk::Talk;
use crate::transport::address::{Addresses, Port, Site, Use, addresses, addresses_to_listen_on};
use crate::transport::limits;
use crate::transport::monitor::Handshake;
use crate::transport::options::LINGER_MILLIS;
use crate::transport::resolve;
use crate::transport::signals::{Signals, interruption};
use crate::transport::zmq::{self, Context, Sent, Socket};
use crate::units;
use crate::wire::control::{Reply, read_request};
use crate::wire::{Header, topic};

/// The options of `forwarder`.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Number of clients of each group, without the sequencer
    #[arg(short = 'n', long, value_name = "N", env = "GROUPCAST_CLIENTS", hide_env = true, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub clients: u16,
    /// Number of clients of single groups, if they differ: a=3,b=2
    #[arg(long, value_name = "GROUP=N", env = "GROUPCAST_GROUP_CLIENTS", hide_env = true, value_delimiter = ',', value_parser = group_clients)]
    pub group_clients: Vec<(String, usize)>,
    /// Address to listen on: a host, or HOST:PORT with the first of the ports; several with commas between. Other machines
    /// reach any but loopback: see --insecure
    #[arg(long, value_name = "ADDRESS", env = "GROUPCAST_BIND", hide_env = true, default_value = "127.0.0.1", value_parser = addresses_to_listen_on)]
    pub bind: Addresses,
    /// First of the ports: in, out (+1), sync (+2); the router has +3
    #[arg(long, value_name = "PORT", env = "GROUPCAST_PORT_BASE", hide_env = true, default_value_t = cli::DEFAULT_PORT_BASE, value_parser = cli::port_base())]
    pub port_base: u16,
    /// Give up if not all clients are ready by then
    #[arg(long, value_name = "TIME", env = "GROUPCAST_START_TIMEOUT", hide_env = true, default_value = "60s", value_parser = units::parse_duration)]
    pub start_timeout: Duration,
    /// Serve one run after the other instead of ending after the first; a signal between two runs ends it with exit
    /// code 0
    #[arg(long, env = "GROUPCAST_STAY", hide_env = true, value_parser = clap::builder::FalseyValueParser::new())]
    pub stay: bool,
    /// Number the multicasts of `--order total` (bb) here, without a process `sequencer`; only where this is the one forwarder.
    /// With a log, of all methods
    #[arg(long, env = "GROUPCAST_SEQUENCER", hide_env = true, value_parser = clap::builder::FalseyValueParser::new())]
    pub sequencer: bool,
    /// Folder for the logs of the groups with method log, as of a process `sequencer`; with --sequencer
    #[arg(long, value_name = "DIR", env = "GROUPCAST_LOG", hide_env = true)]
    pub log: Option<PathBuf>,
    /// The part of each log that is kept: all, a time like 7d, a size like 10GiB, or 7d,10GiB; as with `sequencer`
    #[arg(long, value_name = "HOW", env = "GROUPCAST_RETAIN", hide_env = true, default_value = "all", requires = "log", value_parser = Retain::parse)]
    pub retain: Retain,
    /// End with the clients of an order that needs no sequencer, without waiting for one that was started too
    #[arg(long, hide = true)]
    pub no_sequencer: bool,
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

/// Most packets passed on before the sync port gets its turn.
const PACKETS_PER_TURN: usize = 256;
/// Interval between two ticks of the registry.
const TICK: Duration = Duration::from_millis(100);
/// Time for which a forwarder that has to end still answers its members.
pub const FAREWELL: Duration = Duration::from_millis(300);
/// Longest time in which its last answers leave, when it ends.
const LAST_ANSWERS: Duration = Duration::from_millis(LINGER_MILLIS.cast_unsigned() as u64);
/// The same once all members have confirmed that they know the end.
const CONFIRMED: Duration = Duration::from_millis(20);

/// Parses the number of clients of one group.
fn group_clients(text: &str) -> Result<(String, usize), String> {
    let (group, count) = text.split_once('=').ok_or("write GROUP=N, like a=3")?;
    let count = count.parse().ok().filter(|count| (1..=10_000).contains(count));
    Ok((cli::id(group)?, count.ok_or("expected a number from 1 to 10000 behind =")?))
}

/// Runs the forwarder until the run is over.
///
/// # Errors
/// [`Exit::Unavailable`] if a port is taken or a member was lost, [`Exit::TimedOut`] if the start was not complete
/// in time, [`Exit::Config`] if it would let other machines in without consent, and interruption.
pub fn run(options: &Options, talk: &Talk) -> anyhow::Result<Exit> {
    limits::suffice(options.clients.into())?;
    if options.log.is_some() && !options.sequencer {
        let why = "--log needs --sequencer: it is the folder of the sequencer's logs";
        return Err(Failure::new(Exit::Usage, why).into());
    }
    let has_keys = options.access.keys.is_some();
    let signals = if has_keys { Signals::catch_others()? } else { Signals::catch()? };
    let sites = options.bind.sites("--bind", options.port_base)?;
    options.access.check(&sites, Use::Listen)?;
    let numbered = resolve::listening(&sites, Some(&signals), options.start_timeout)?;
    let mut forwarder = Forwarder::listen(options, &numbered, talk)?;
    let keys = if has_keys { ", with keys" } else { "" };
    talk.say(format!("{}{keys}; waiting for {}", ports(&sites), clients(usize::from(options.clients))));
    let sequencer = sequencer_with_log(options, &sites, talk)?;
    let outcome = forwarder.serve(options.stay, &signals, sequencer);
    forwarder.sync.linger(if outcome.is_ok() { CONFIRMED } else { LAST_ANSWERS });
    Ok(outcome?)
}

/// A sequencer that keeps logs, on a thread of this process.
type SequencerThread = JoinHandle<Result<(), Failure>>;

/// Starts the sequencer that keeps logs, if there is to be one. It connects to this forwarder as any other does.
fn sequencer_with_log(
    options: &Options,
    sites: &[Site],
    talk: &Talk,
) -> Result<Option<SequencerThread>, Failure> {
    let Some((log, site)) = options.log.clone().zip(sites.first()) else { return Ok(None) };
    let host = if site.host == "*" { "127.0.0.1" } else { &site.host };
    let connect = addresses(host).map_err(|reason| Failure::new(Exit::Usage, reason))?;
    let address = cli::Address { connect, port_base: site.port_base, access: options.access.clone() };
    let options = sequencer::Options {
        id: "sequencer".to_owned(),
        standby: false,
        address,
        log: Some(log),
        retain: options.retain,
        stay: options.stay,
        forwarder: cli::Forwarder { forwarder_timeout: LOST_AFTER },
        patience: cli::Patient {
            suspect_after: DetectorConfig::with_silence(LOST_AFTER),
            quorum: "any".to_owned(),
        },
        known_bad: cli::KnownBad::default(),
        progress: false,
        voice: options.voice.clone(),
    };
    Ok(Some(sequencer::begin(options, talk)))
}

/// Waits for the end of the sequencer.
fn ended(thread: SequencerThread) -> Result<(), Failure> {
    thread.join().unwrap_or_else(|_| Err(Failure::new(Exit::Bug, "the sequencer ended in a panic")))
}

/// Returns the first port of all these sites, if it is one.
fn common_port(at: &[Site]) -> Option<u16> {
    let port = at.first()?.port_base;
    at.iter().all(|site| site.port_base == port).then_some(port)
}

/// Returns the ports on which it listens, for people.
fn ports(sites: &[Site]) -> String {
    let ports = |site: &Site| {
        let number = |port: Port| port.number(site.port_base);
        let (input, output, sync) = (number(Port::In), number(Port::Out), number(Port::Sync));
        format!("listening on {}: in {input}, out {output}, sync {sync}", site.host)
    };
    sites.iter().map(ports).collect::<Vec<_>>().join("; ")
}

struct Forwarder<'a> {
    // Sockets before their context: they are closed in this order.
    input: Socket,
    output: Socket,
    sync: Socket,
    context: Context,
    /// The keys that are let in, if there are keys.
    admission: Option<Arc<Admission>>,
    reload: Option<Reload>,
    registry: Registry,
    sequencer: EmbeddedSequencer,
    actions: Actions,
    clock: Clock,
    ticked: Time,
    said: Time,
    passed: u64,
    dropped: u64,
    /// Whether a handshake has failed.
    has_failed: bool,
    talk: &'a Talk,
}

impl<'a> Forwarder<'a> {
    fn listen(options: &Options, at: &[Site], talk: &'a Talk) -> Result<Self, Failure> {
        let (context, admission) = context::of_server(&options.access, options.threads)?;
        let rules = Rules {
            clients: usize::from(options.clients),
            start_timeout: options.start_timeout,
            stay: options.stay,
            sequencer_may_come: (!options.sequencer && !options.no_sequencer) || options.log.is_some(),
            port_base: common_port(at).unwrap_or(0),
        };
        Ok(Self {
            input: context.listen_in(at)?,
            output: context.listen_out(at)?,
            sync: context.listen_sync(at)?,
            context,
            reload: Reload::begin(&options.access, admission.as_ref())?,
            admission,
            registry: Registry::new(rules, clock::nonce()).with_clients(&options.group_clients),
            sequencer: EmbeddedSequencer::new(options.sequencer, options.log.is_some()),
            actions: Actions::default(),
            clock: Clock::start(),
            ticked: Time::ZERO,
            said: Time::ZERO,
            passed: 0,
            dropped: 0,
            has_failed: false,
            talk,
        })
    }

    /// Serves until everything is over, a signal comes, or its sequencer with a log fails.
    fn serve(
        &mut self,
        stays: bool,
        signals: &Signals,
        mut sequencer: Option<SequencerThread>,
    ) -> Result<Exit, Failure> {
        loop {
            let limit = self.longest_wait();
            let is_asked = zmq::wait(&[&self.input, &self.sync], signals.fds(), limit);
            if is_asked && let Some(exit) = signals.received() {
                let failure = interruption(exit);
                let is_idle = stays && self.registry.entries().is_empty();
                let told = format!("the forwarder was {}", failure.message);
                self.say_farewell(&Failure::new(Exit::Unavailable, told));
                return if is_idle { Ok(Exit::Ok) } else { Err(failure) };
            }
            if let Some(outcome) = self.turn()? {
                self.report();
                return outcome.and(sequencer.take().map_or(Ok(()), ended)).map(|()| Exit::Ok);
            }
            // If its sequencer ends, no group can go on; the end of a run ends both.
            if let Some(over) = sequencer.take_if(|thread| thread.is_finished())
                && let Err(failure) = ended(over)
            {
                self.say_farewell(&failure);
                return Err(failure);
            }
        }
    }

    /// Handles all waiting input. Returns the outcome when everything is over.
    fn turn(&mut self) -> Result<Option<Result<(), Failure>>, Failure> {
        let now = self.clock.now();
        for _ in 0..PACKETS_PER_TURN {
            let mut overheard = None;
            let listen = |topic: &[u8], header: &[u8], body: &[u8]| {
                let frames = self.sequencer.overhear(topic, header, body);
                overheard = frames.map(|frames| (topic.to_vec(), frames));
            };
            let passes = |topic: &[u8], header: &Header, user: Option<&str>| self.passes(topic, header, user);
            match self.input.forward(&self.output, passes, listen) {
                Some(true) => self.passed += 1,
                Some(false) => self.dropped += 1,
                None => break,
            }
            if let Some((topic, frames)) = overheard {
                self.sequencer.receive(now, &topic, frames, &self.output);
            }
        }
        self.sequencer.wake(now, &self.output);
        self.serve_sync(now);
        self.say_waiting(now);
        self.report_handshakes(now);
        self.look_after_keys(now)?;
        if let Some(failure) = self.registry.overdue(now) {
            self.say_farewell(&failure);
            return Err(failure);
        }
        Ok(self.registry.outcome(now))
    }

    /// Returns whether a packet is one of a group that is served and, with keys, of the member as which it was published.
    fn passes(&self, topic: &[u8], header: &Header, user: Option<&str>) -> bool {
        let Some(admission) = &self.admission else {
            return topic::group(topic).is_some_and(|group| self.registry.serves(group));
        };
        let seat = self.registry.publisher(topic, header);
        seat.is_some_and(|seat| admission.may_publish(user, topic, seat))
    }

    fn serve_sync(&mut self, now: Time) {
        let mut any = false;
        for _ in 0..PACKETS_PER_TURN {
            let Some(asked) = self.sync.asked() else { break };
            any = true;
            let Ok(asked) = asked else { continue };
            let (asker, request) = (Asker::Connection(asked.asker), read_request(&asked.request));
            match (&self.admission, &request) {
                (Some(admission), Ok(request))
                    if let Err(denied) = admission.check(asked.user.as_deref(), request) =>
                {
                    self.actions.replies.push((asker, Reply::new(request.seq, refused(&denied))));
                }
                _ => self.registry.asked(now, asker, request, &mut self.actions),
            }
        }
        if any || now.since(self.ticked) >= TICK || self.sequencer.is_due(now) {
            self.ticked = now;
            self.sequencer.attend(now, &mut self.registry, &mut self.actions);
            self.registry.tick(now, &mut self.actions);
            self.perform(now);
        }
    }

    /// Returns the longest wait for input.
    fn longest_wait(&mut self) -> Duration {
        let now = self.clock.now();
        if self.sequencer.is_due(now) {
            return Duration::ZERO;
        }
        let end = self.registry.next_deadline().filter(|&due| due > now);
        sooner(self.sequencer.next_deadline(), end).map_or(TICK, |due| due.since(now).min(TICK))
    }

    fn perform(&mut self, now: Time) {
        for (asker, reply) in self.actions.replies.drain(..) {
            match &asker {
                Asker::Embedded(run) => self.sequencer.answered(now, run, reply),
                Asker::Connection(address) => {
                    if self.sync.reply(address, &reply.to_bytes()) == Sent::Unreachable {
                        self.registry.unreachable(now, &asker);
                    }
                }
                Asker::Nobody => {}
            }
        }
        for notice in self.actions.notices.drain(..) {
            self.talk.say(notice);
        }
    }

    /// Tells of peers that were refused, and of handshakes that break off; without keys once, since scanners do that, too.
    fn report_handshakes(&mut self, now: Time) {
        while let Some(handshake) = self.sync.handshake() {
            // Often, only the other side learns why.
            let has_failed = matches!(handshake, Handshake::Mismatched | Handshake::Failed);
            match &self.admission {
                Some(admission) if has_failed => admission.note_broken_handshake(),
                None if has_failed && !std::mem::replace(&mut self.has_failed, true) => {
                    let why = "it has keys, which this forwarder does not use, or it is no member at all";
                    self.talk.warn(format!("a process tries to connect, and cannot: {why}"));
                }
                _ => {}
            }
        }
        if let Some(admission) = &self.admission {
            admission.report(now, self.talk);
        }
    }

    /// Takes in keys that have changed. If one has gone, all members connect again.
    fn look_after_keys(&mut self, now: Time) -> Result<(), Failure> {
        let Some(own) = self.reload.as_mut().and_then(|reload| reload.look(now, self.talk)) else {
            return Ok(());
        };
        self.context.listen_again(&own, &mut [&mut self.input, &mut self.output, &mut self.sync])
    }

    fn say_waiting(&mut self, now: Time) {
        if now.since(self.said) >= SAY_EVERY {
            self.said = now;
            for line in self.registry.waiting(now) {
                self.talk.say(line);
            }
        }
    }

    /// Answers all requests, for a moment, with the failure `told`.
    fn say_farewell(&mut self, told: &Failure) {
        let began = self.clock.now();
        let mut now = began;
        while now.since(began) < FAREWELL {
            self.registry.close(told, &mut self.actions);
            self.perform(now);
            zmq::wait(&[&self.sync], [], FAREWELL.saturating_sub(now.since(began)));
            self.serve_sync(now);
            now = self.clock.now();
        }
    }

    fn report(&self) {
        self.talk.detail(format!("{} packets passed on, {} dropped as nonsense", self.passed, self.dropped));
    }
}
