//! Station 9, in the middle: assigns a global number to every multicast, in one sequence for each group.
//!
//! The process asks the forwarder for all groups and becomes a member of each, in a thread of its own. There it runs
//! the engine of the sequencer, for example [`crate::order::total_bb::SequencerBb`]. A standby (`--standby`) only keeps up, until the sequencer is lost and
//! [`crate::member`] makes it the next one.

mod keeper;

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use clap::Args;
use clap::builder::FalseyValueParser;

use crate::cli::{self, Address, KnownBad, Voice};
use crate::defect::Defects;
use crate::driver::endpoint::{Endpoint, Event};
use crate::driver::meter::SENT_AGAIN;
use crate::driver::node::Joining;
use crate::driver::service::{Server, Service};
use crate::driver::{Node, clock, words};
use crate::engine::{MemberId, Time, View};
use crate::exit::{Exit, Failure};
use crate::keys::context;
use crate::log::{Opened, Retain};
use crate::member::App;
use crate::order::Order;
use crate::session::clients;
use crate::talk::{self, Talk};
use crate::transport::address::{Port, Site};
use crate::transport::limits;
use crate::transport::signals::Signals;
use crate::transport::zmq::Context;
use crate::wire::Window;
use crate::wire::control::{GroupEntry, Role};
use keeper::Keeper;

/// The options of `sequencer`.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Its name among the members; `standby` if it stands by. Of several that do, each has another
    #[arg(short, long, value_name = "ID", env = "GROUPCAST_ID", hide_env = true, default_value = "sequencer", default_value_if("standby", "true", "standby"), value_parser = cli::id)]
    pub id: String,
    /// Stand by, and take the sequencer's place if it is lost; also for groups that run already
    #[arg(long, env = "GROUPCAST_STANDBY", hide_env = true, value_parser = FalseyValueParser::new())]
    pub standby: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub address: Address,
    /// Folder for the logs of the groups with method log, one for each group; made if it is not there. Started again with
    /// the same, a group goes on where it was
    #[arg(long, value_name = "DIR", env = "GROUPCAST_LOG", hide_env = true)]
    pub log: Option<PathBuf>,
    /// The part of each log that is kept: all, a time like 7d, a size like 10GiB, or 7d,10GiB; what is older, or before the
    /// last bytes, is removed in larger parts
    #[arg(long, value_name = "HOW", env = "GROUPCAST_RETAIN", hide_env = true, default_value = "all", requires = "log", value_parser = Retain::parse)]
    pub retain: Retain,
    /// Serve one run after the other, also those of a forwarder that is started again, instead of ending with the
    /// forwarder; a signal between two runs ends it with exit code 0
    #[arg(long, env = "GROUPCAST_STAY", hide_env = true, value_parser = FalseyValueParser::new())]
    pub stay: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub forwarder: cli::Forwarder,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub patience: cli::Patient,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub known_bad: KnownBad,
    /// Tell the parent process what this has cost, on standard error
    #[arg(long, hide = true)]
    pub progress: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub voice: Voice,
}

impl Options {
    const fn role(&self) -> Role {
        if self.standby { Role::Standby } else { Role::Sequencer }
    }
}

/// Runs the sequencer until the forwarder reports the end of the run.
///
/// # Errors
/// [`Exit::Unavailable`] if the forwarder is not there or a member was lost, and interruption.
pub fn run(options: &Options, talk: &Talk) -> anyhow::Result<Exit> {
    limits::suffice(0)?;
    let signals = Signals::catch()?;
    Ok(serve(options, &signals, false, talk)?)
}

/// Runs the sequencer of a forwarder that keeps logs on a thread of its process: for the orders that the forwarder itself
/// cannot number, since their members send packets to the sequencer alone.
pub fn begin(options: Options, talk: &Talk) -> JoinHandle<Result<(), Failure>> {
    let talk = talk.clone();
    std::thread::spawn(move || serve(&options, &Signals::none(), true, &talk).map(drop))
}

fn serve(options: &Options, signals: &Signals, only_addressed: bool, talk: &Talk) -> Result<Exit, Failure> {
    let context = context::of_member(options.address.access.keys.as_deref(), &options.id)?;
    let sites = options.address.sites()?;
    let mut server = Server::connect(&context, &sites, (options.role(), &options.id), options.stay, talk)?;
    server.wait_for_lost(options.forwarder.forwarder_timeout);
    let endpoints: Vec<String> = sites.iter().map(|site| site.endpoint(Port::Sync)).collect();
    let s = if endpoints.len() == 1 { "" } else { "s" };
    talk.say(format!("asking the forwarder{s} at {} for groups", talk::list(&endpoints)));
    let mut groups = Groups {
        context,
        options,
        only_addressed,
        sites,
        talk,
        members: BTreeMap::new(),
        finished: VecDeque::new(),
        leaves: Arc::default(),
        failed: None,
    };
    server.run(signals, &mut groups)
}

/// The groups that this process is a member of.
struct Groups<'a> {
    context: Context,
    options: &'a Options,
    /// Whether it serves only orders whose members send packets to the sequencer alone.
    only_addressed: bool,
    sites: Vec<Site>,
    talk: &'a Talk,
    /// By run number, which is the same at every forwarder.
    members: BTreeMap<String, Part>,
    /// Whether this process leaves all groups.
    leaves: Arc<AtomicBool>,
    /// The first failure of a group.
    failed: Option<Failure>,
    /// The last runs of which it was a member: one forwarder may hear of the end later than another, and a member that
    /// was left behind does not come back.
    finished: VecDeque<String>,
}

/// The part of this process in a run.
struct Part {
    group: String,
    thread: JoinHandle<Ending>,
}

/// The end of a group for this process.
struct Ending {
    /// False for a process that could not join: it may try again, perhaps at another forwarder.
    is_final: bool,
    result: Result<(), Failure>,
}

/// Reports the role of this process in a view, if the sequencer is another than `before`.
fn tell_part(group: &str, node: &Node, view: &View, before: Option<MemberId>, talk: &Talk) {
    if before == view.sequencer {
        return;
    }
    let served = clients(view.clients.len());
    let name = |member: Option<MemberId>| member.map_or("nobody", |member| node.seat(member).id.as_str());
    talk.say(match (view.sequencer == Some(node.me()), before) {
        (true, None) => format!("{group}: numbering for {served}"),
        (true, Some(_)) => {
            format!(
                "{group}: takes the place of {} in view {}, numbering for {served}",
                name(before),
                view.number
            )
        }
        (false, None) => format!("{group}: stands by for {}, with {served}", name(view.sequencer)),
        (false, Some(_)) => {
            let (old, new) = (name(before), name(view.sequencer));
            format!("{group}: {new} takes the place of {old} in view {}; stands by for {new}", view.number)
        }
    });
}

/// Takes part in a group, as its sequencer or a standby, until the run is over.
fn take_part(
    node: &mut Node,
    group: &str,
    log: Option<(Opened, Retain, Defects)>,
    talk: &Talk,
) -> Result<(), Failure> {
    tell_part(group, node, node.view(), None, talk);
    let mut keeper = log.map(|log| Keeper::begin(node, group, log, talk)).transpose()?;
    let mut numbers = node.view().sequencer;
    let mut until = None;
    while !node.is_over() {
        node.turn(until).inspect_err(|failure| node.leave(failure))?;
        for event in node.events() {
            let Event::Delivery(delivery) = event else { continue };
            if let Some(keeper) = &mut keeper {
                keeper.take(node, &delivery).inspect_err(|failure| node.leave(failure))?;
            }
            match delivery.app {
                App::View(view, _) => {
                    tell_part(group, node, &view, numbers, talk);
                    numbers = view.sequencer;
                }
                App::Notice(notice) => words::report(talk, node, delivery.from, notice),
                _ => {}
            }
        }
        if let Some(keeper) = &mut keeper {
            until = keeper.turn(node).inspect_err(|failure| node.leave(failure))?;
        }
    }
    talk.detail(format!("{group}: cost: {}", node.meter()));
    keeper.map_or(Ok(()), Keeper::finish)
}

/// Most groups whose members may use a door: ZeroMQ has no more than a thousand sockets for a process, and each group needs
/// some of them.
const DOORS: usize = 16;
/// The number of runs that are remembered.
const FINISHED_KEPT: usize = 64;

impl Service for Groups<'_> {
    /// Takes note of groups that are over. If one has failed, the others go on: the forwarder knows, and says how
    /// everything has ended when it has.
    fn turn(&mut self, _now: Time) -> Result<(), Failure> {
        let over: Vec<String> = self
            .members
            .iter()
            .filter(|(_, part)| part.thread.is_finished())
            .map(|(run, _)| run.clone())
            .collect();
        for run in over {
            let Some(part) = self.members.remove(&run) else { continue };
            let Ok(Ending { is_final, result }) = part.thread.join() else {
                return Err(Failure::new(Exit::Bug, "the numbering of a group ended in a panic"));
            };
            if is_final {
                self.note_finished(run);
            }
            if let Err(failure) = result {
                self.note_failure(failure);
            }
        }
        Ok(())
    }

    /// Becomes a member of the groups of the forwarder `at`.
    fn serve(&mut self, at: usize, entries: Vec<GroupEntry>) -> Result<(), Failure> {
        for entry in entries {
            let order = Order::find(&entry.order, &entry.method).ok_or_else(|| {
                Failure::new(
                    Exit::Config,
                    format!("group {} wants an unknown order {}", entry.group, entry.order),
                )
            })?;
            let is_known = self.members.contains_key(&entry.run) || self.finished.contains(&entry.run);
            // An earlier run of the group, perhaps at a forwarder that has gone, keeps the log until its thread has ended.
            let must_wait = order.is_logged() && self.members.values().any(|part| part.group == entry.group);
            if order.sequencer && !is_known && !must_wait && (order.addressed || !self.only_addressed) {
                let log = match self.open_log(&entry.group, order) {
                    Ok(log) => log,
                    Err(failure) if self.members.is_empty() => return Err(failure),
                    Err(failure) => {
                        // The groups that it serves go on.
                        self.note_failure(failure);
                        self.note_finished(entry.run);
                        continue;
                    }
                };
                let thread = self.become_member(at, entry.group.clone(), order, log);
                self.members.insert(entry.run, Part { group: entry.group, thread });
            }
        }
        Ok(())
    }

    fn is_idle(&self) -> bool {
        self.members.is_empty()
    }

    /// Lets the members of each group know that this process leaves, which takes no longer than a thread waits.
    fn leave(&mut self) {
        self.end_threads();
    }

    fn finish(&mut self) -> Result<(), Failure> {
        // All groups are over, and so are the threads, or nearly. The last words of this process leave when its context
        // ends, which a thread would still hold. A thread whose disk has failed may end only now.
        let of_disk = self.end_threads().into_iter().find(|failure| failure.exit == Exit::Io);
        self.failed.take().or(of_disk).map_or(Ok(()), Err)
    }
}

impl Groups<'_> {
    /// Makes the threads of all groups end, and waits for them; returns their failures.
    fn end_threads(&mut self) -> Vec<Failure> {
        self.leaves.store(true, Ordering::Relaxed);
        let ended = std::mem::take(&mut self.members).into_values().map(|part| part.thread.join());
        ended.filter_map(|ended| ended.ok()?.result.err()).collect()
    }

    fn note_finished(&mut self, run: String) {
        if self.finished.len() == FINISHED_KEPT {
            self.finished.pop_front();
        }
        self.finished.push_back(run);
    }

    fn note_failure(&mut self, failure: Failure) {
        self.talk.warn(&failure.message);
        self.failed.get_or_insert(failure);
    }

    /// Opens the log of a group that has one, if this process has a folder for it. Without, the forwarder refuses it.
    fn open_log(&self, group: &str, order: &Order) -> Result<Option<Opened>, Failure> {
        let dir = self.options.log.as_ref().filter(|_| order.is_logged() && !self.options.standby);
        dir.map(|dir| Opened::open(dir, group, clock::nonce())).transpose()
    }

    fn become_member(
        &self,
        at: usize,
        group: String,
        order: &'static Order,
        log: Option<Opened>,
    ) -> JoinHandle<Ending> {
        let joining = Joining {
            sites: self.sites.clone(),
            only_at: Some(at),
            group,
            id: self.options.id.clone(),
            role: self.options.role(),
            order,
            needs_router: order.addressed,
            timeout: None,
            forwarder_timeout: self.options.forwarder.forwarder_timeout,
            window: Window::default(),
            defects: self.options.known_bad.defects(),
            membership_config: self.options.patience.membership_config(),
            can_sequence: self.options.standby,
            may_open_door: self.members.len() < DOORS,
            late: true,
            log: log.as_ref().map(Opened::head),
            leaves: Arc::clone(&self.leaves),
        };
        let (context, talk) = (self.context.clone(), self.talk.clone());
        let (progress, retain) = (self.options.progress, self.options.retain);
        std::thread::spawn(move || {
            let named = |failure: Failure| Failure {
                message: format!("{}: {}", joining.group, failure.message),
                ..failure
            };
            match Node::join(&context, &joining, None, &talk) {
                Ok(mut node) => {
                    let log = log.map(|log| (log, retain, joining.defects));
                    let result = take_part(&mut node, &joining.group, log, &talk).map_err(named);
                    if result.is_ok() && progress {
                        talk.machine(&format!("{SENT_AGAIN}{}", node.meter().sent_again()));
                    }
                    Ending { is_final: true, result }
                }
                // A group that has enough standbys, or that its clients left before its start, misses nothing. The forwarder
                // reports at the end a group for which somebody still waits.
                Err(failure) if failure.exit == Exit::Unavailable => {
                    let stands_by = joining.role == Role::Standby;
                    let what = if stands_by { "does not stand by: " } else { "" };
                    talk.warn(format!("{what}{}", named(failure).message));
                    Ending { is_final: stands_by, result: Ok(()) }
                }
                Err(failure) => Ending { is_final: false, result: Err(named(failure)) },
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::talk::{Color, Level};

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }

    #[test]
    fn finish_leaves_no_thread_behind_that_holds_the_context() {
        let Line { options } = Line::parse_from(["sequencer"]);
        let (leaves, context) = (Arc::<AtomicBool>::default(), Arc::new(()));
        let (told, held) = (Arc::clone(&leaves), Arc::clone(&context));
        let member = std::thread::spawn(move || {
            while !told.load(Ordering::Relaxed) {
                std::thread::yield_now();
            }
            drop(held);
            Ending { is_final: true, result: Ok(()) }
        });
        let mut groups = Groups {
            context: Context::default(),
            options: &options,
            sites: Vec::new(),
            talk: &Talk::new("sequencer", Level::Quiet, Color::Never),
            members: BTreeMap::from([("1".to_owned(), Part { group: "main".to_owned(), thread: member })]),
            leaves,
            only_addressed: false,
            failed: None,
            finished: VecDeque::new(),
        };
        assert_eq!(groups.finish(), Ok(()));
        assert_eq!(Arc::strong_count(&context), 1);
    }
}
