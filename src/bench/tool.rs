//! `groupcast bench`: the command line of the benchmark.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::builder::PossibleValuesParser;

use super::part::Baseline;
use super::play;
use super::report::{self, Format, Ratios};
use super::round::{self, Outcome, Setting, System};
use super::workload::{Amount, MIN_SIZE, Workload};
use crate::cli::{self, KnownBad, Voice};
use crate::exit::{Exit, Failure};
use crate::order;
use crate::order::way::Way;
use crate::processes::Interrupts;
use crate::replica::entry::MOST_MEMBERS;
use crate::talk::Talk;
use crate::transport::signals::{interruption, listen};
use crate::units;
use crate::wire::batch::MAX_TEXT;

/// The example and the notes of `--help`.
const HELP: &str = "\
Examples:
  groupcast bench --duration 1s --baseline
  groupcast bench --order causal --size 1024 --messages 10000 --json
  groupcast bench --window 1 --duration 1s
  groupcast bench --rate 2000 --duration 1s
  groupcast bench --order tentative -n 5 --senders 1 --duration 1s
  groupcast bench --profile --duration 1s

A forwarder, a sequencer or router where the order needs one, and the members are started as processes on this machine. \
Every member multicasts, and keeps --window of its own multicasts under way: when half of them have come back, it \
sends as many again. The clock runs at the first member, from its first multicast to the last delivery. With --window 1 \
the round trip of each own multicast is measured; with --rate members send by the clock, and latency is counted from \
when a multicast was to be sent, at every member. Members do what clients do, with reliability and flow control, but \
write files only with --out. With --order tentative, the members are those of a cluster, each with a journal, and what \
they count is confirmed. That everybody delivers the same, in the order that was promised, is checked all the while: \
exit code 1 if not.

--baseline runs, in turns with ours and in the same processes, plain multicast through zmq_proxy (proxy: no order, one \
packet a message) and the most that packing and numbering allow (bound: packets that a sequencer only stamps, nothing \
repaired), and prints what ours is in proportion, pair by pair, with the median.

--profile tells what a multicast costs while members send and deliver: of each kind of process, its main thread, those \
of ZeroMQ and others (a sequencer has one for each group), the processor time in user and kernel mode, how often the \
thread was woken up, and how often another one took the processor from it; and the packets that members of a group sent \
and received, of each kind, with the multicasts in a Data packet. Linux tells processor time in hundredths of a second, \
so measure for seconds. With --json, `profile` has the sums. System calls are not counted: `strace -fc` and `perf stat` \
do that, before the same command.";

/// The most members of all groups together: each is a process.
const MOST_PROCESSES: u32 = 512;
/// The default time for which members send.
const DURATION: Duration = Duration::from_secs(2);
/// The default window, in bytes.
const WINDOW_BYTES: u64 = 2_000_000;
/// The fewest and the most multicasts in the default window.
const WINDOWS: std::ops::RangeInclusive<u64> = 60..=20_000;

/// The factor of the default window in a cluster.
const CLUSTER_WINDOW: u64 = 10;

/// Arguments of `groupcast bench`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = format!("{HELP}\n\n{}", crate::exit::HELP))]
pub(crate) struct Args {
    /// The order of delivery
    #[arg(long, value_name = "ORDER", default_value = "total", value_parser = PossibleValuesParser::new(order::all_names()))]
    order: String,
    /// Method of that order, if it has several: bb, ub, uub
    #[arg(long, value_name = "METHOD")]
    method: Option<String>,
    /// Members of each group
    #[arg(short = 'n', long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=256))]
    clients: u16,
    /// Members of each group that multicast: the first ones [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    senders: Option<u16>,
    /// Groups that share forwarder, router and sequencer
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=128))]
    groups: u16,
    /// Bytes of each multicast
    #[arg(long, value_name = "BYTES", default_value_t = 64, value_parser = clap::value_parser!(u32).range(MIN_SIZE as i64..=MAX_TEXT as i64))]
    size: u32,
    /// Multicasts that a member has in flight [default: about 2 MB, 60 to 20000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    window: Option<u64>,
    /// Multicasts of each member
    #[arg(long, value_name = "N", conflicts_with = "duration", value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    messages: Option<u64>,
    /// Time for which members send [default: 2s]
    #[arg(long, value_name = "TIME", value_parser = units::parse_duration)]
    duration: Option<Duration>,
    /// Multicasts of each member before the clock starts
    #[arg(long, value_name = "N", default_value_t = 0)]
    warmup: u64,
    /// Send by the clock, so many multicasts a second of all members of a group together
    #[arg(long, value_name = "N", value_parser = cli::factor)]
    rate: Option<f64>,
    /// Number of rounds
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Measure baselines, too, in turns: proxy, bound, or both
    #[arg(long, value_name = "WHICH", num_args = 0..=1, require_equals = true, value_delimiter = ',', default_missing_value = "proxy,bound")]
    baseline: Vec<Baseline>,
    /// Tell where the time goes: processor time and wake-ups of each kind of thread, and packets of each kind
    #[arg(long)]
    profile: bool,
    /// Print a line of JSON for each round
    #[arg(long, conflicts_with = "csv")]
    json: bool,
    /// Print a line of CSV for each round
    #[arg(long)]
    csv: bool,
    /// Let members write result files and histories, as clients do
    #[arg(short, long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// With --out: no histories
    #[arg(long)]
    no_history: bool,
    /// Let the forwarder number multicasts (forwarder --sequencer), instead of a process of its own
    #[arg(long)]
    inside: bool,
    /// Let members deliver only what all have, as `client --safe` does
    #[arg(long)]
    safe: bool,
    /// Let ours connect through files of this folder (UNIX sockets) instead of TCP
    #[arg(long, value_name = "DIR")]
    ipc: Option<PathBuf>,
    /// With --order tentative or --method log: the folder for the journals or the log, which are removed at the end [default:
    /// the system's for temporary files]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// With --order tentative: send a datagram to each member instead of one to all
    #[arg(long)]
    unicast: bool,
    /// Use keys, which are made for the round: all connections are encrypted or, with --order tentative, all datagrams sealed
    #[arg(long)]
    keys: bool,
    /// First of the four ports; without it, free ones are found
    #[arg(long, value_name = "PORT", value_parser = cli::port_base())]
    port_base: Option<u16>,
    /// One process of a round
    #[arg(long, hide = true)]
    part: Option<String>,
    #[command(flatten)]
    known_bad: KnownBad,
    #[command(flatten)]
    voice: Voice,
}

/// Measures the rounds that the options ask for.
///
/// # Errors
/// [`Exit::Violated`] for a wrong order; any failure that keeps a round from its end; interruption, after partial
/// results.
pub(crate) fn run(args: &Args) -> Result<Exit> {
    if let Some(part) = &args.part {
        return Ok(play::play(part, &args.known_bad, &args.voice.talk("member"))?);
    }
    let setting = args.setting()?;
    let format = match (args.json, args.csv) {
        (true, _) => Format::Json,
        (_, true) => Format::Csv,
        _ => Format::Text,
    };
    let talk = args.voice.talk("bench");
    Bench { args, setting, format, interrupts: Interrupts::default(), talk }.run()
}

impl Args {
    fn setting(&self) -> Result<Setting> {
        let way = cli::way(&self.order, self.method.as_deref())?;
        self.check(way)?;
        let processes = u32::from(self.clients) * u32::from(self.groups);
        if processes > MOST_PROCESSES {
            let message =
                format!("{processes} members are more than this machine is for: at most {MOST_PROCESSES}");
            bail!(Failure::new(Exit::Usage, message));
        }
        let duration = self.duration.unwrap_or(DURATION);
        let workload = Workload {
            members: self.clients,
            senders: self.senders.unwrap_or(self.clients),
            groups: self.groups,
            size: self.size as usize,
            window: self.window.unwrap_or_else(|| self.usual_window(way)),
            amount: self.messages.map_or(Amount::Time(duration), Amount::Messages),
            warmup: self.warmup,
            rate: self.rate,
        };
        if self.groups > 1 && !self.baseline.is_empty() {
            let message = "the baselines know no groups: leave out --baseline or --groups";
            bail!(Failure::new(Exit::Usage, message));
        }
        Ok(Setting {
            way,
            data: self.data.clone().unwrap_or_else(std::env::temp_dir),
            unicast: self.unicast,
            keys: self.keys,
            workload,
            port_base: self.port_base,
            inside: self.inside,
            safe: self.safe,
            host: self.ipc.as_ref().map_or_else(
                || "127.0.0.1".to_owned(),
                |folder| format!("ipc://{}/groupcast", folder.display()),
            ),
            out: self.out.clone(),
            history: !self.no_history,
            profile: self.profile,
            known_bad: self.known_bad.name().map(str::to_owned),
        })
    }

    /// Refuses options that are not for this way.
    fn check(&self, way: Way) -> Result<(), Failure> {
        let (refused, only) = if way.is_cluster() {
            let given = [
                ("--groups", self.groups > 1),
                ("--out", self.out.is_some()),
                ("--inside", self.inside),
                ("--safe", self.safe),
                ("--ipc", self.ipc.is_some()),
                ("--port-base", self.port_base.is_some()),
            ];
            (given.into_iter().find(|(_, is_given)| *is_given), "is not for --order tentative")
        } else {
            let has_data = matches!(way, Way::Group(order) if order.is_logged());
            let given = [("--data", self.data.is_some() && !has_data), ("--unicast", self.unicast)];
            (given.into_iter().find(|(_, is_given)| *is_given), "is only for --order tentative")
        };
        if let Some((flag, _)) = refused {
            return Err(Failure::new(Exit::Usage, format!("{flag} {only}")));
        }
        if self.senders.is_some_and(|senders| senders > self.clients) {
            let why = format!("--senders: a group of {} has no more members", self.clients);
            return Err(Failure::new(Exit::Usage, why));
        }
        if way.is_cluster() && usize::from(self.clients) > MOST_MEMBERS {
            let why = format!("a cluster has at most {MOST_MEMBERS} members");
            return Err(Failure::new(Exit::Usage, why));
        }
        Ok(())
    }

    /// Returns the default window. A cluster's is larger: its members confirm after two commits of their journals.
    fn usual_window(&self, way: Way) -> u64 {
        let window = (WINDOW_BYTES / u64::from(self.size)).clamp(*WINDOWS.start(), *WINDOWS.end());
        if way.is_cluster() { window * CLUSTER_WINDOW } else { window }
    }
}

/// The rounds of one call.
struct Bench<'a> {
    args: &'a Args,
    setting: Setting,
    format: Format,
    interrupts: Interrupts,
    talk: Talk,
}

impl Bench<'_> {
    fn run(&self) -> Result<Exit> {
        let interrupts = self.interrupts.clone();
        listen(move |exit| interrupts.interrupt(exit))?;
        match self.format {
            Format::Text => cli::print(&report::title(&self.setting))?,
            Format::Csv => cli::print(&report::csv_head())?,
            Format::Json => self.talk.say(report::title(&self.setting)),
        }
        let mut ratios: Vec<(Baseline, Ratios)> =
            self.args.baseline.iter().map(|&baseline| (baseline, Ratios::default())).collect();
        let rounds = (1..=self.args.rounds).try_for_each(|number| self.round(number, &mut ratios));
        // After an interruption, these are the partial results.
        for (baseline, ratios) in &ratios {
            match self.format {
                Format::Text => cli::print(&ratios.text(*baseline))?,
                Format::Json => cli::print(&ratios.json(*baseline).to_string())?,
                Format::Csv => {}
            }
        }
        rounds.map(|()| Exit::Ok)
    }

    /// Runs groupcast and the baselines once each, in reverse order every other time.
    fn round(&self, number: u32, ratios: &mut [(Baseline, Ratios)]) -> Result<()> {
        let mut systems: Vec<System> = vec![System::Ours(self.setting.way)];
        systems.extend(self.args.baseline.iter().map(|&baseline| System::Plain(baseline)));
        if number.is_multiple_of(2) {
            systems.reverse();
        }
        let mut outcomes = Vec::new();
        for system in systems {
            let (outcome, interrupted) = round::run(&self.setting, system, &self.interrupts)?;
            self.tell(&outcome, number)?;
            if let Some(exit) = interrupted {
                bail!(interruption(exit));
            }
            outcomes.push(outcome);
        }
        let of = |wanted: Option<Baseline>| {
            outcomes.iter().find(|outcome| match outcome.system {
                System::Ours(_) => wanted.is_none(),
                System::Plain(baseline) => wanted == Some(baseline),
            })
        };
        for (baseline, ratios) in ratios {
            if let (Some(ours), Some(theirs)) = (of(None), of(Some(*baseline))) {
                ratios.add(ours, theirs);
            }
        }
        Ok(())
    }

    fn tell(&self, outcome: &Outcome, number: u32) -> Result<()> {
        let json = report::json(&self.setting, outcome, number);
        cli::print(&match self.format {
            Format::Text => report::text(&self.setting, outcome, number),
            Format::Json => json.to_string(),
            Format::Csv => report::csv(&json),
        })
    }
}
