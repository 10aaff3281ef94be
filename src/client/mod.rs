//! Station 2: one member: its user's messages go in, engines are in the middle, deliveries come out.
//!
//! `user` is a command file (`replay`), two pipes (`pipe`) or a person (`chat`, at a `terminal`), as `source`
//! chooses. `member` takes part in the run for any of them, `groups` in the runs of several groups.

mod chat;
mod cluster;
mod groups;
mod member;
mod past;
mod pipe;
mod progress;
mod replay;
mod resume;
mod source;
mod user;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::builder::{FalseyValueParser, PossibleValuesParser};
use clap::{Args, ValueEnum};

use crate::cli::{self, Address, KnownBad, Voice};
use crate::driver::Node;
use crate::driver::endpoint::Endpoint;
use crate::driver::meter::{SENT_AGAIN, UNDELIVERABLE};
use crate::driver::node::Joining;
use crate::driver::several;
use crate::exit::{Exit, Failure};
use crate::keys::context;
use crate::member::MembershipConfig;
use crate::member::replay::Missed;
use crate::order::{self, Order, Reliability};
use crate::participant::slow_member::SlowMember;
use crate::participant::{Participant, Settings};
use crate::results::{Counts, Earlier, Results};
use crate::script::Script;
use crate::talk::Talk;
use crate::transport::address::Site;
use crate::transport::limits;
use crate::transport::signals::Signals;
use crate::transport::terminal;
use crate::units;
use crate::wire::Window;
use crate::wire::control::Role;
use member::{Client, names};
pub use progress::{PROGRESS, Progress};
use resume::EarlierLife;
use source::Source;

/// Most groups of one client.
const MOST_GROUPS: usize = 16;

/// The options of `client`.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Name of this client in its group
    #[arg(short, long, value_name = "ID", env = "GROUPCAST_ID", hide_env = true, value_parser = cli::client_id)]
    pub id: String,
    /// The command file to replay; - for standard input
    #[arg(short, long, value_name = "FILE", env = "GROUPCAST_COMMANDS", hide_env = true)]
    pub commands: Option<PathBuf>,
    /// Multicast each line of standard input, and print each delivery on standard output: SENDER###TEXT
    #[arg(long, env = "GROUPCAST_LINES", hide_env = true, value_parser = FalseyValueParser::new())]
    pub lines: bool,
    /// Talk with the group at a prompt
    #[arg(long, env = "GROUPCAST_INTERACTIVE", hide_env = true, value_parser = FalseyValueParser::new())]
    pub interactive: bool,
    /// Folder for the result files; made if it is not there. Needed for a command file
    #[arg(short, long, value_name = "DIR", env = "GROUPCAST_OUT", hide_env = true)]
    pub out: Option<PathBuf>,
    /// Order of delivery
    #[arg(long, value_name = "ORDER", env = "GROUPCAST_ORDER", hide_env = true, default_value = "total", value_parser = PossibleValuesParser::new(order::all_names()))]
    pub order: String,
    /// Method of `total`: bb (message, then its number; the default), ub (through the sequencer), uub (ask for a number
    /// first), log (through the sequencer, which records it first)
    #[arg(long, value_name = "METHOD", env = "GROUPCAST_METHOD", hide_env = true)]
    pub method: Option<String>,
    /// How multicasts reach the members: nack (one packet to all, asked for by a member that lacks it), basic (one to each
    /// member) or flood (the same, and each member sends them on); the last two for unordered, fifo and causal, all
    /// clients the same
    #[arg(long, value_name = "HOW", env = "GROUPCAST_RELIABILITY", hide_env = true, default_value = "nack", value_parser = cli::reliability())]
    pub reliability: Reliability,
    /// Name of the group, or names of several groups, with commas: `Multicast@b,c1,x` goes to group b, all else to the first.
    /// With several, result lines begin with `<sender>@<group>`
    #[arg(long, value_name = "NAME", env = "GROUPCAST_GROUP", hide_env = true, default_value = "main", value_delimiter = ',', value_parser = cli::id)]
    pub group: Vec<String>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub address: Address,
    /// The cluster file, for `--order tentative`: the members of a cluster, which has no forwarder
    #[arg(long, value_name = "FILE", env = "GROUPCAST_CLUSTER", hide_env = true)]
    pub cluster: Option<PathBuf>,
    /// Folder for the journal of a member of a cluster; made if it is not there. Started again with the same, it goes on
    #[arg(long, value_name = "DIR", env = "GROUPCAST_DATA", hide_env = true)]
    pub data: Option<PathBuf>,
    /// In a cluster, send a datagram to each member, also if the cluster file names a multicast group
    #[arg(long, env = "GROUPCAST_UNICAST", hide_env = true, value_parser = FalseyValueParser::new())]
    pub unicast: bool,
    /// In a cluster, take in nothing more while members that are away lack so much
    #[arg(long, value_name = "SIZE", env = "GROUPCAST_JOURNAL_LIMIT", hide_env = true, default_value = "1GiB", value_parser = cli::bytes)]
    pub journal_limit: u64,
    /// In a cluster, drop the datagrams that this file names, as `groupcast cluster part` and `loss` write it
    #[arg(long, value_name = "FILE", hide = true)]
    pub faults: Option<PathBuf>,
    /// Give up if nothing has happened for this long
    #[arg(long, value_name = "TIME", env = "GROUPCAST_TIMEOUT", hide_env = true, default_value = "300s", value_parser = units::parse_duration)]
    pub timeout: Duration,
    /// Wait while so much of its own is not yet at all members: messages, bytes (with a unit), or both: 1000,256KiB
    #[arg(long, value_name = "WINDOW", env = "GROUPCAST_WINDOW", hide_env = true, default_value = "4MiB", value_parser = cli::window)]
    pub window: Window,
    /// Treatment of a member that takes nothing: block waits for it; exclude:TIME waits so long, and then the others go on without it
    #[arg(long, value_name = "WHAT", env = "GROUPCAST_SLOW_MEMBER", hide_env = true, default_value = "block", value_parser = SlowMember::parse)]
    pub slow_member: SlowMember,
    /// Divide the sleeps of the command file by this
    #[arg(long, value_name = "FACTOR", env = "GROUPCAST_SPEED", hide_env = true, default_value = "1", value_parser = cli::factor)]
    pub speed: f64,
    /// Write no history file
    #[arg(long, env = "GROUPCAST_NO_HISTORY", hide_env = true, value_parser = FalseyValueParser::new())]
    pub no_history: bool,
    /// Write into the history also when each multicast arrived here and what it waited for
    #[arg(long, env = "GROUPCAST_TRACE", hide_env = true, value_parser = FalseyValueParser::new())]
    pub trace: bool,
    /// Overwrite the results of an earlier run; with --join they are otherwise kept, with .old-1 behind their names
    #[arg(long, env = "GROUPCAST_FORCE", hide_env = true, value_parser = FalseyValueParser::new())]
    pub force: bool,
    /// Only check the command file and print what would be done
    #[arg(long, env = "GROUPCAST_DRY_RUN", hide_env = true, value_parser = FalseyValueParser::new())]
    pub dry_run: bool,
    /// Tell the parent process how far this client is, on standard error
    #[arg(long, hide = true)]
    pub progress: bool,
    /// Take the place of the sequencer if it is lost
    #[arg(long, env = "GROUPCAST_CAN_SEQUENCE", hide_env = true, value_parser = FalseyValueParser::new())]
    pub can_sequence: bool,
    /// Deliver only what every member has, so that not even a client that dies was given what others never will be
    #[arg(long, env = "GROUPCAST_SAFE", hide_env = true, value_parser = FalseyValueParser::new())]
    pub safe: bool,
    /// Go on where an earlier life of this client was, with --method log: the results in --out are continued behind the last
    /// place that they have, and multicasts that are in the log are not sent again. Its input is the same, from the start
    #[arg(long, env = "GROUPCAST_RESUME", hide_env = true, value_parser = FalseyValueParser::new())]
    pub resume: bool,
    /// Join a group that is running: from-now on, or from-start, with all that was delivered before; with a group that has
    /// not started, start
    #[arg(long, value_name = "FROM", env = "GROUPCAST_JOIN", hide_env = true, num_args = 0..=1, default_missing_value = "from-now", value_enum)]
    pub join: Option<JoinFrom>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub forwarder: cli::Forwarder,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub patience: cli::Patient,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub known_bad: KnownBad,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub voice: Voice,
}

/// The first deliveries of a client that joins a running group.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum JoinFrom {
    /// From the view on in which it is taken in.
    FromNow,
    /// From the beginning of the run, as a member's history has it.
    FromStart,
}

/// Runs a client to the end of its run.
///
/// # Errors
/// Any of the table of exit codes; earlier deliveries are in the `.part` files.
pub fn run(options: &Options, talk: &Talk) -> anyhow::Result<Exit> {
    if options.order == order::TENTATIVE {
        return cluster::run(options, talk);
    }
    let order = options.order()?;
    options.check()?;
    options.check_log(order)?;
    let sites = options.address.sites()?;
    let source = options.source()?;
    if let (true, Source::Script(script)) = (options.dry_run, &source) {
        cli::print(script.to_string().trim_end())?;
        return Ok(Exit::Ok);
    }
    limits::suffice(0)?;
    // From here on a signal is an orderly end, which removes the files of a run that never began.
    let signals = Signals::catch()?;
    let context = context::of_member(options.address.access.keys.as_deref(), &options.id)?;
    let earlier = options.earlier_life()?;
    let mut results = options.results(order)?;
    let joinings = joinings(options, &sites, order, &source);
    let nodes = match &joinings[..] {
        [joining] => vec![Node::join(&context, joining, Some(signals), talk)?],
        joinings => several::join(&context, joinings, signals, talk)?,
    };
    let settings = Settings {
        batch: options.window.messages,
        slow_member: options.slow_member,
        missed: options.missed(order),
        behind: earlier.as_ref().map_or(0, |earlier| earlier.place),
    };
    let mut participants: Vec<_> = nodes.into_iter().map(|node| Participant::new(node, settings)).collect();
    let (outcome, counts) =
        take_part(options, order, (&source, earlier), &mut participants, &mut results, talk);
    let mut nodes: Vec<Node> = participants.into_iter().map(|participant| participant.endpoint).collect();
    nodes.iter().for_each(|node| talk.detail(format!("cost: {}", node.meter())));
    if options.progress {
        let sent_again: u64 = nodes.iter().map(|node| node.meter().sent_again()).sum();
        talk.machine(&format!("{SENT_AGAIN}{sent_again}"));
    }
    match outcome {
        Ok(()) => {
            let departs = nodes.iter().any(Endpoint::departs);
            let reason = if departs { "left" } else { "done" };
            end(&mut results, reason, &counts, &nodes)?;
            if departs {
                let why = Failure::new(Exit::Ok, "it has left the group");
                nodes.iter_mut().for_each(|node| node.leave(&why));
            }
            let counts = counts.into_iter().sum();
            conclude(options, &counts, &results.finish()?, talk)?;
            Ok(all_delivered(options, &counts, talk)?)
        }
        Err(failure) => give_up(options, failure, &counts, &mut nodes, &mut results, talk),
    }
}

/// Ends with what there is after a failure.
fn give_up(
    options: &Options,
    failure: Failure,
    counts: &[Counts],
    nodes: &mut [Node],
    results: &mut Results,
    talk: &Talk,
) -> anyhow::Result<Exit> {
    // A terminal that is closed shows as an error first, and as SIGHUP a moment later.
    let is_closed = failure.exit == Exit::Io && options.interactive;
    let failure = if is_closed { nodes[0].linger().err().unwrap_or(failure) } else { failure };
    let kept = end(results, reason(failure.exit), counts, nodes);
    if let Err(error) = kept.and_then(|()| results.flush())
        && error != failure
    {
        talk.warn(error.message);
    }
    if let Some(out) = &options.out {
        let described = describe(&counts.iter().copied().sum());
        talk.warn(format!("partial: {described}; see {}/*_{}*.part", out.display(), options.id));
    }
    nodes.iter_mut().for_each(|node| node.leave(&failure));
    if failure.exit == Exit::Ok { Ok(Exit::Ok) } else { Err(failure.into()) }
}

/// Records the end in each group.
fn end(results: &mut Results, reason: &str, counts: &[Counts], nodes: &[Node]) -> Result<(), Failure> {
    let now = nodes[0].elapsed_micros();
    (0..).zip(counts).try_for_each(|(group, counts)| {
        results.turn_to(group);
        results.end(reason, counts, now)
    })
}

impl Options {
    /// Returns the past that it wants if there is one.
    fn missed(&self, order: &Order) -> Option<Missed> {
        let wants = self.resume || self.join == Some(JoinFrom::FromStart);
        wants.then(|| if order.is_logged() { Missed::Log } else { Missed::Deliveries })
    }

    /// Returns the results of an earlier life with which it goes on.
    fn earlier_life(&self) -> Result<Option<EarlierLife>, Failure> {
        let out = self.out.as_ref().filter(|_| self.resume);
        out.map_or(Ok(None), |out| EarlierLife::find(self, out))
    }

    /// Checks the flags that a log of the sequencer makes possible, or impossible.
    fn check_log(&self, order: &Order) -> Result<(), Failure> {
        let wrong = match (order.is_logged(), self.resume) {
            (true, _) if self.group.len() > 1 => "--method log is for a client in one group",
            (true, _) if self.can_sequence => {
                "--can-sequence is not for --method log: the sequencer has the log"
            }
            (false, true) => "--resume needs --method log",
            (true, true) if self.out.is_none() => "--resume needs --out, the folder of the earlier results",
            (true, true) if self.no_history => "--resume needs the history: it tells the places",
            (true, true) if self.force => {
                "--resume goes on with the earlier results, and --force replaces them"
            }
            _ => return Ok(()),
        };
        Err(Failure::new(Exit::Usage, wrong))
    }

    /// Refuses the flags of a cluster for another order.
    fn check_unclustered(&self) -> Result<(), Failure> {
        let given = [
            ("--cluster", self.cluster.is_some()),
            ("--data", self.data.is_some()),
            ("--unicast", self.unicast),
            ("--faults", self.faults.is_some()),
        ];
        match given.iter().find(|(_, is_given)| *is_given) {
            Some((flag, _)) => {
                let why = format!("{flag} is for --order tentative, and the order is {}", self.order);
                Err(Failure::new(Exit::Usage, why))
            }
            None => Ok(()),
        }
    }

    /// Checks the names of several groups.
    fn check_groups(&self) -> Result<(), Failure> {
        let groups = &self.group;
        let twice = groups.iter().enumerate().find(|(place, group)| groups[..*place].contains(group));
        let wrong = match twice {
            Some((_, group)) => format!("--group names {group} twice"),
            None if groups.len() > MOST_GROUPS => {
                format!("--group names {} groups, and at most {MOST_GROUPS} are possible", groups.len())
            }
            None if groups.len() > 1 && self.join.is_some() => {
                "--join is for a client in one group: what it missed in one has a place among what it missed in others"
                    .to_owned()
            }
            None => return Ok(()),
        };
        Err(Failure::new(Exit::Usage, wrong))
    }

    fn order(&self) -> Result<&'static Order, Failure> {
        cli::order_over(&self.order, self.method.as_deref(), self.reliability, self.safe)
    }

    /// Checks that the flags agree. Clap would take a switch that is off in the environment for one that is set.
    fn check(&self) -> Result<(), Failure> {
        self.check_unclustered()?;
        self.check_groups()?;
        let is_script = self.commands.is_some();
        let sources = [is_script, self.lines, self.interactive].into_iter().filter(|&is_given| is_given);
        let wrong = match sources.count() {
            1 if is_script && self.dry_run => return Ok(()),
            1 if is_script && self.out.is_none() => "--commands needs --out, a folder for the result files",
            1 if self.trace && (self.out.is_none() || self.no_history) => {
                "--trace writes into the history: it needs --out, and no --no-history"
            }
            1 if self.dry_run && !is_script => "--dry-run checks a command file: it needs --commands",
            1 => return Ok(()),
            0 => "one of --commands FILE, --lines and --interactive is needed",
            _ => "only one of --commands FILE, --lines and --interactive is possible",
        };
        Err(Failure::new(Exit::Usage, wrong).help("`client --help` shows examples"))
    }

    fn source(&self) -> Result<Source, Failure> {
        match &self.commands {
            Some(commands) => {
                let script = Script::read(commands, &self.id)?;
                script.unknown_group(&self.group).map_or(Ok(Source::Script(script)), Err)
            }
            None if self.interactive => {
                let check =
                    terminal::check("--interactive", "--lines multicasts each line of standard input");
                check.map(|()| Source::Terminal)
            }
            None => Ok(Source::Lines),
        }
    }

    fn results(&self, order: &Order) -> Result<Results, Failure> {
        match &self.out {
            Some(out) => {
                // A client that comes back finds the results of its earlier incarnation.
                let earlier = match self.force {
                    true => Earlier::Replace,
                    false if self.resume || self.join.is_some() => Earlier::Keep,
                    false => Earlier::Refuse,
                };
                let results = Results::create(out, &self.id, order.suffix, !self.no_history, earlier)?;
                Ok(results.in_groups(&self.group))
            }
            None => Ok(Results::none()),
        }
    }
}

/// Takes part in a run that has started, to its end or to the end of this member in it.
fn take_part(
    options: &Options,
    order: &Order,
    (source, earlier): (&Source, Option<EarlierLife>),
    participants: &mut [Participant<Node>],
    results: &mut Results,
    talk: &Talk,
) -> (Result<(), Failure>, Vec<Counts>) {
    let user = match source.open(&mut participants[0].endpoint, options, talk) {
        Ok(user) => user,
        Err(failure) => return (Err(failure), vec![Counts::default(); participants.len()]),
    };
    let mut client = Client::new(options, order, talk, user, results);
    let outcome = client
        .begin(participants, order, earlier)
        .and_then(|()| source.check(&names(&participants[0].endpoint)))
        .and_then(|()| client.run(participants));
    (outcome, client.counts().to_vec())
}

/// Reports the counts and the files: on standard output, unless that has the deliveries.
fn conclude(options: &Options, counts: &Counts, files: &[PathBuf], talk: &Talk) -> anyhow::Result<()> {
    let files: Vec<String> = files.iter().map(|path| path.display().to_string()).collect();
    let done = [describe(counts), files.join(" ")].join("; ");
    let done = done.trim_end_matches("; ");
    if options.commands.is_some() {
        return cli::print(&format!("{}: {done}", options.id));
    }
    talk.say(done);
    Ok(())
}

/// Returns the exit code: a failure if a direct message of a command file was undeliverable. A person was told of each.
fn all_delivered(options: &Options, counts: &Counts, talk: &Talk) -> Result<Exit, Failure> {
    let (what, are) = match counts.undeliverable {
        0 => return Ok(Exit::Ok),
        _ if options.commands.is_none() => return Ok(Exit::Ok),
        1 => ("a message", "is"),
        _ => ("messages", "are"),
    };
    if options.progress {
        talk.machine(&format!("{UNDELIVERABLE}{}", counts.undeliverable));
    }
    let count = if counts.undeliverable > 1 { format!("{} ", counts.undeliverable) } else { String::new() };
    let message = format!("{count}{what} to a single member {are} undeliverable; all else is complete");
    Err(Failure::new(Exit::Unavailable, message)
        .help("the warnings above name each, and the history has an \"undeliverable\" event for it"))
}

/// Returns how this client joins each of its groups. Direct messages go through the first.
fn joinings(options: &Options, sites: &[Site], order: &'static Order, source: &Source) -> Vec<Joining> {
    let groups = options.group.iter().enumerate();
    groups
        .map(|(place, group)| {
            let needs_router = order.addressed || (place == 0 && source.is_addressed());
            Joining { needs_router, ..joining(options, group, sites.to_vec(), order) }
        })
        .collect()
}

fn joining(options: &Options, group: &str, sites: Vec<Site>, order: &'static Order) -> Joining {
    Joining {
        sites,
        only_at: None,
        group: group.to_owned(),
        id: options.id.clone(),
        role: Role::Client,
        order,
        needs_router: order.addressed,
        timeout: Some(options.timeout),
        forwarder_timeout: options.forwarder.forwarder_timeout,
        window: options.window,
        defects: options.known_bad.defects(),
        membership_config: MembershipConfig { safe: options.safe, ..options.patience.membership_config() },
        can_sequence: options.can_sequence && order.sequencer,
        may_open_door: false,
        late: options.resume || options.join.is_some(),
        log: None,
        leaves: Arc::default(),
    }
}

/// The word for an end in a history.
const fn reason(exit: Exit) -> &'static str {
    match exit {
        Exit::Interrupted => "interrupted",
        Exit::Terminated => "terminated",
        Exit::HungUp => "hung_up",
        Exit::TimedOut => "timed_out",
        Exit::Unavailable => "lost",
        Exit::Ok => "unread",
        _ => "failed",
    }
}

fn describe(counts: &Counts) -> String {
    let undeliverable = match counts.undeliverable {
        0 => String::new(),
        count => format!(", {count} undeliverable"),
    };
    format!(
        "{} multicast, {} delivered, {} sent, {} received{undeliverable}",
        counts.multicasts, counts.delivered, counts.sent, counts.received
    )
}
