//! `groupcast sim`: the command line of the simulator.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use serde_json::{Value, json};

use super::cluster::ClusterSetup;
use super::swarm::{self, Report, Simulation};
use super::{Churn, Delay, Setup, Share, Trace};
use crate::check::{PROPERTIES, Property, cluster};
use crate::cli::{self, KnownBad};
use crate::exit::{Exit, Failure};
use crate::order::{self, Order, Reliability};
use crate::wire::Window;

/// The example and the notes of `--help`.
const HELP: &str = "\
Examples:
  groupcast sim --order total --members 4 --messages 50 --loss 20% --seed 7 -v
  groupcast sim --order fifo --seeds 2000
  groupcast sim --order fifo --expect-violation causal
  groupcast sim --order total --crash 1 --seeds 500
  groupcast sim --order fifo --reliability basic --crash 1 \\
    --expect-violation agreement
  groupcast sim --order total --join 2 --restart 1 --standby 1 --seeds 100
  groupcast sim --order total --groups 3 --seeds 20
  groupcast sim --order tentative --crash 3 --split 2 --seeds 500

Whatever is not given of the members and the faults is drawn from each seed, and half of the seeds \
leave each fault out. A violation is shown with the command that replays it.";

/// The default number of seeds when a violation is expected.
const SEEDS_TO_EXPECT: u64 = 1000;

/// Arguments of `groupcast sim`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = format!("{HELP}\n\n{}", crate::exit::HELP))]
pub struct Args {
    /// The order that the members use
    #[arg(long, default_value = "total", value_parser = PossibleValuesParser::new(order::all_names()))]
    order: String,
    /// Method of that order, if it has several
    #[arg(long)]
    method: Option<String>,
    /// How multicasts reach the members: nack, basic or flood, as with `client --reliability`
    #[arg(long, value_name = "HOW", default_value = "nack", value_parser = cli::reliability())]
    reliability: Reliability,
    /// Number of clients, without the sequencer [default: 2 to 8, by the seed]
    #[arg(long, value_name = "N",
          value_parser = clap::value_parser!(u16).range(2..=i64::from(Setup::MAX_MEMBERS)))]
    members: Option<u16>,
    /// Number of groups that have members in common, each with a sequencer: a client is in two of them or more; for total
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=i64::from(Setup::MAX_GROUPS)))]
    groups: u16,
    /// Messages that each client multicasts
    #[arg(long, default_value_t = 50, value_name = "N", value_parser = clap::value_parser!(u64).range(0..=1_000_000))]
    messages: u64,
    /// Every client multicasts 64 bytes every 10 ms and nothing else: to compare costs
    #[arg(long)]
    steady: bool,
    /// The members deliver only what all have, as with `client --safe`
    #[arg(long)]
    safe: bool,
    /// Bound on how far a sender is ahead of the slowest receiver, as with `client --window` [default: 4MiB]
    #[arg(long, value_name = "WINDOW", value_parser = cli::window)]
    window: Option<Window>,
    /// The share of packets that are lost until the network heals, like 20% or 0.2; drawn: up to 30%
    #[arg(long, value_name = "SHARE")]
    loss: Option<Share>,
    /// The share of packets that come twice until the network heals; drawn: up to 20%
    #[arg(long, value_name = "SHARE")]
    duplicate: Option<Share>,
    /// Delay of packets, like 0-50ms or 5ms [default: drawn, up to 50ms]
    #[arg(long, value_name = "RANGE")]
    delay: Option<Delay>,
    /// The share of packets that take up to a second longer; drawn: up to 10%
    #[arg(long, value_name = "SHARE")]
    slow: Option<Share>,
    /// The share of the time in which a link holds everything, to let it go at once; drawn: up to 30%
    #[arg(long, value_name = "SHARE")]
    clog: Option<Share>,
    /// The share of the time in which a part of the group cannot reach the rest, or be reached; drawn: up to 50%
    #[arg(long, value_name = "SHARE")]
    partition: Option<Share>,
    /// The share of the time in which a member does nothing; drawn: up to 30%
    #[arg(long, value_name = "SHARE")]
    pause: Option<Share>,
    /// So many members die, at any moment; less than half of all are lost, by this and the next three. In a cluster
    /// (`--order tentative`): so many crashes, each with a restart
    #[arg(long, default_value_t = 0, value_name = "N")]
    crash: u16,
    /// So many members sleep for longer than the others wait, and then find out that they were left behind
    #[arg(long, default_value_t = 0, value_name = "N")]
    sleep: u16,
    /// So many members are cut off from the others for longer than these wait
    #[arg(long, default_value_t = 0, value_name = "N")]
    split: u16,
    /// So many members die and come back; a sequencer as a standby
    #[arg(long, default_value_t = 0, value_name = "N")]
    restart: u16,
    /// So many clients join the running group, or so many members are added to a cluster, and multicast a few messages
    #[arg(long, default_value_t = 0, value_name = "N", value_parser = clap::value_parser!(u16).range(..=64))]
    join: u16,
    /// So many members are removed from a cluster (`--order tentative`) by an operator, half of them dead
    #[arg(long, default_value_t = 0, value_name = "N", value_parser = clap::value_parser!(u16).range(..=64))]
    remove: u16,
    /// So many standby sequencers join the running group
    #[arg(long, default_value_t = 0, value_name = "N", value_parser = clap::value_parser!(u16).range(..=64))]
    standby: u16,
    /// The seed from which everything is drawn, or the first of several
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Number of seeds to run, up to the first violation [default: 1, or 1000 if a violation is expected]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    seeds: Option<u64>,
    /// Succeed only if this property is violated, whether the order promises it or not, and no other
    #[arg(long, value_name = "PROPERTY", value_parser = PossibleValuesParser::new(properties()))]
    expect_violation: Option<String>,
    /// Show what a multicast costs: packets, bytes, hold-back, latency
    #[arg(long)]
    cost: bool,
    /// Show every event: of the seed that failed or, if none did, of the first
    #[arg(long, short)]
    verbose: bool,
    /// Write what the clients would have written, of the seed that failed or, if none did, of the first; for
    /// `groupcast check`, `diagram` and `explain`
    #[arg(long, value_name = "DIR")]
    histories: Option<PathBuf>,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    known_bad: KnownBad,
}

fn properties() -> impl Iterator<Item = &'static str> {
    let of_clusters = cluster::PROPERTIES.iter().map(|property| property.name);
    PROPERTIES.iter().map(|property| property.name).chain(of_clusters)
}

/// Runs the simulator and prints the verdicts.
///
/// # Errors
/// [`Exit::Usage`] for a method that the order does not have, [`Exit::CannotCreate`] for histories that cannot be
/// written, [`Exit::Io`] if standard output cannot be written.
pub fn run(args: &Args) -> anyhow::Result<Exit> {
    let simulated = args.simulated()?;
    let simulation = simulated.simulation();
    let report = swarm::run(simulation, args.seed, args.seeds());
    let mut trace = if args.verbose { Trace::kept() } else { Trace::off() };
    if args.histories.is_some() {
        trace = trace.with_histories();
    }
    if args.verbose || args.histories.is_some() {
        let _ = swarm::run_one(simulation, report.failed.unwrap_or(args.seed), &mut trace);
    }
    if let Some(dir) = &args.histories {
        match &simulated {
            Simulated::Group(setup) => trace.write_histories(dir, setup.order)?,
            Simulated::Cluster(_) => trace.write_cluster(dir)?,
        }
    }
    let text = if args.json {
        args.json(&simulated, &report, &trace)
    } else {
        args.text(&simulated, &report, &trace)
    };
    cli::print(text.trim_end())?;
    Ok(report.exit())
}

/// The simulation that the arguments ask for.
enum Simulated {
    Group(Box<Setup>),
    Cluster(Box<ClusterSetup>),
}

impl Simulated {
    fn simulation(&self) -> &dyn Simulation {
        match self {
            Self::Group(setup) => &**setup,
            Self::Cluster(setup) => &**setup,
        }
    }

    fn method(&self) -> Option<&'static str> {
        match self {
            Self::Group(setup) => setup.order.method,
            Self::Cluster(_) => None,
        }
    }

    fn title(&self) -> String {
        match self {
            Self::Group(setup) => setup.order.title(),
            Self::Cluster(_) => order::TENTATIVE.to_owned(),
        }
    }
}

impl Args {
    fn seeds(&self) -> u64 {
        self.seeds.unwrap_or(if self.expect_violation.is_some() { SEEDS_TO_EXPECT } else { 1 })
    }

    fn simulated(&self) -> Result<Simulated, Failure> {
        if self.order != order::TENTATIVE {
            let order = cli::order_over(&self.order, self.method.as_deref(), self.reliability, self.safe)?;
            let expect = self.expected(PROPERTIES.iter().map(|property| property.name))?;
            let setup = Setup { expect: expect.and_then(Property::find), ..self.setup(order)? };
            return Ok(Simulated::Group(Box::new(setup)));
        }
        let refused = [
            ("--method", self.method.is_some()),
            ("--reliability", !self.reliability.is_default()),
            ("--safe", self.safe),
            ("--window", self.window.is_some()),
            ("--sleep", self.sleep > 0),
            ("--restart", self.restart > 0),
            ("--standby", self.standby > 0),
            ("--groups", self.groups > 1),
            ("--cost", self.cost),
        ];
        if let Some((name, _)) = refused.iter().find(|(_, is_given)| *is_given) {
            let why = format!(
                "{name} is not for --order tentative, whose clusters have --crash, --split, --join and --remove"
            );
            return Err(Failure::new(Exit::Usage, why));
        }
        // The order of the group's setup is not used.
        let group = Setup { churn: Churn::NONE, ..self.setup(&order::ORDERS[0])? };
        let expect = self.expected(cluster::names())?;
        let Self { crash, split, join, remove, .. } = *self;
        Ok(Simulated::Cluster(Box::new(ClusterSetup { group, crash, split, join, remove, expect })))
    }

    /// Returns the property that is expected to be violated.
    ///
    /// # Errors
    /// [`Exit::Usage`] if it is none of those that are `judged` in this order.
    fn expected(&self, judged: impl Iterator<Item = &'static str>) -> Result<Option<&'static str>, Failure> {
        let Some(name) = &self.expect_violation else { return Ok(None) };
        let judged: Vec<&'static str> = judged.collect();
        if let Some(known) = judged.iter().find(|known| *known == name) {
            return Ok(Some(known));
        }
        let why = format!("{name} is not judged in order {}", self.order);
        Err(Failure::new(Exit::Usage, why).help(format!("these are: {}", judged.join(", "))))
    }

    fn setup(&self, order: &'static Order) -> Result<Setup, Failure> {
        if self.standby > 0 && !order.sequencer {
            let why = format!("--standby needs an order with a sequencer, and {} has none", order.name);
            return Err(Failure::new(Exit::Usage, why));
        }
        self.check_groups(order)?;
        Ok(Setup {
            groups: self.groups,
            loss: self.loss,
            duplicate: self.duplicate,
            delay: self.delay,
            slow: self.slow,
            clog: self.clog,
            partition: self.partition,
            pause: self.pause,
            churn: Churn {
                crash: self.crash,
                sleep: self.sleep,
                split: self.split,
                restart: self.restart,
                join: self.join,
                standby: self.standby,
            },
            members: self.members,
            steady: self.steady,
            safe: self.safe,
            window: self.window.unwrap_or_default(),
            defects: self.known_bad.defects(),
            ..Setup::new(order, 0, self.messages)
        })
    }

    /// Checks that the flags agree with several groups.
    fn check_groups(&self, order: &Order) -> Result<(), Failure> {
        let left_out = [
            ("--sleep", self.sleep > 0),
            ("--split", self.split > 0),
            ("--restart", self.restart > 0),
            ("--join", self.join > 0),
            ("--standby", self.standby > 0),
            ("--histories", self.histories.is_some()),
        ];
        let why = match left_out.iter().find(|(_, is_given)| *is_given) {
            _ if self.groups == 1 => return Ok(()),
            _ if !order.sequencer => {
                format!(
                    "--groups is for --order total: in {}, groups have nothing to do with one another",
                    order.name
                )
            }
            Some((name, _)) => format!("{name} is for one group, and --groups asks for {}", self.groups),
            None if self.crash > 1 => "of several groups, --crash 1 is the most that is possible".to_owned(),
            None => return Ok(()),
        };
        Err(Failure::new(Exit::Usage, why))
    }

    /// Returns the command that runs one seed again and shows every event.
    fn replay(&self, simulated: &Simulated, seed: u64) -> String {
        let mut command = format!("groupcast sim --order {}", self.order);
        let mut option = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                let _ = write!(command, " --{name} {value}");
            }
        };
        option("method", simulated.method().map(str::to_owned));
        option("reliability", (!self.reliability.is_default()).then(|| self.reliability.name().to_owned()));
        option("members", self.members.map(|members| members.to_string()));
        option("groups", (self.groups > 1).then(|| self.groups.to_string()));
        option("messages", Some(self.messages.to_string()));
        option("window", self.window.map(|window| window.to_string()));
        option("delay", self.delay.map(|delay| delay.to_string()));
        let (loss, duplicate, slow) = (self.loss, self.duplicate, self.slow);
        let (clog, partition, pause) = (self.clog, self.partition, self.pause);
        for (name, share) in [
            ("loss", loss),
            ("duplicate", duplicate),
            ("slow", slow),
            ("clog", clog),
            ("partition", partition),
            ("pause", pause),
        ] {
            option(name, share.map(|share| share.to_string()));
        }
        for (name, count) in [
            ("crash", self.crash),
            ("sleep", self.sleep),
            ("split", self.split),
            ("restart", self.restart),
            ("join", self.join),
            ("remove", self.remove),
            ("standby", self.standby),
        ] {
            option(name, (count > 0).then(|| count.to_string()));
        }
        option("expect-violation", self.expect_violation.clone());
        option("known-bad", self.known_bad.name().map(str::to_owned));
        option("seed", Some(seed.to_string()));
        let command = if self.safe { command + " --safe" } else { command };
        command + if self.steady { " --steady -v" } else { " -v" }
    }

    fn text(&self, simulated: &Simulated, report: &Report, trace: &Trace) -> String {
        let mut text = trace.text().to_owned();
        if !text.is_empty() {
            text.push('\n');
        }
        for (name, verdict) in &report.verdicts {
            let _ = writeln!(text, "{name:<16}{verdict}");
        }
        let _ = writeln!(text, "{}: {}", word(report.exit()), self.sentence(simulated, report));
        let _ = writeln!(text, "\n{}", report.counters);
        if self.cost {
            let _ = writeln!(text, "{}", report.cost);
        }
        if let Some(seed) = report.failed {
            let _ = writeln!(text, "\nreplay    {}", self.replay(simulated, seed));
        }
        text
    }

    fn sentence(&self, simulated: &Simulated, report: &Report) -> String {
        let (low, high) = Setup::DRAWN_MEMBERS;
        let members = self.members.map_or_else(|| format!("{low} to {high}"), |members| members.to_string());
        let run = format!("{}, {members} members × {} messages", simulated.title(), self.messages);
        let seeds =
            if report.seeds == 1 { format!("seed {}", self.seed) } else { format!("{} seeds", report.seeds) };
        match (report.expected, report.failed) {
            (None, _) => format!("{run}, {seeds}"),
            (Some(expected), None) => format!("{run}, {seeds}, none of which violates {expected}"),
            (Some(expected), Some(failed)) if report.exit() == Exit::Ok => {
                format!("{run}, seed {failed} violates {expected} as expected")
            }
            (Some(_), Some(failed)) => format!("{run}, seed {failed} violates what it should not"),
        }
    }

    fn json(&self, simulated: &Simulated, report: &Report, trace: &Trace) -> String {
        let verdicts = report.verdicts.iter();
        let verdicts: Vec<Value> = verdicts
            .map(|(name, verdict)| json!({"property": name, "verdict": verdict.word(), "why": verdict.why()}))
            .collect();
        let value = json!({
            "v": 1,
            "verdict": word(report.exit()),
            "order": self.order,
            "method": simulated.method(),
            "reliability": (self.order != order::TENTATIVE).then(|| self.reliability.name()),
            "members": self.members,
            "messages": self.messages,
            "first_seed": self.seed,
            "seeds": report.seeds,
            "failed_seed": report.failed,
            "expected": report.expected,
            "replay": self.replay(simulated, report.failed.unwrap_or(self.seed)),
            "properties": verdicts,
            "counters": report.counters,
            "cost": report.cost.json(),
            "trace": self.verbose.then(|| trace.text().lines().collect::<Vec<_>>()),
        });
        format!("{value:#}\n")
    }
}

const fn word(exit: Exit) -> &'static str {
    match exit {
        Exit::Ok => "PASS",
        Exit::Undecided => "UNDECIDED",
        _ => "FAIL",
    }
}
