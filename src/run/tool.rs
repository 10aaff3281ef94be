//! `groupcast run`: the command line of the runner.

use std::fs;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, bail};
use clap::builder::{FalseyValueParser, PossibleValuesParser};
use serde_json::{Value, json};

use super::judge::judge;
use super::plan::{Plan, Settings};
use super::process::quoted;
use super::scenario::{Commands, MOST_MEMBERS, MOST_MESSAGES, Scenario};
use super::supervisor::{Outcome, watch};
use super::verdict::Verdict;
use super::{folder, show};
use crate::cli::{self, KnownBad, Voice};
use crate::exit::{Exit, Failure};
use crate::fault::report::Report;
use crate::order::{self, Reliability};
use crate::processes::Interrupts;
use crate::talk::Talk;
use crate::transport::signals::{interruption, listen};
use crate::units;

/// The name of the scenario that belongs to the command files of a folder.
const SCENARIO: &str = "scenario.toml";

/// The example and the notes of `--help`.
const HELP: &str = "\
Examples:
  groupcast run testdata/banks --speed 50
  groupcast run --members 8 --messages 1000 --order causal
  groupcast run scenario.toml --repeat 20
  groupcast run testdata/banks --speed 50 --trace && \\
    groupcast diagram runs/latest -o run.html

A folder has one command file (*.txt) per client, which is named after it. A scenario is a file like this, in which \
everything may be left out and the command line comes first; that of a folder is its scenario.toml:
  commands = \".\"           # or [\"c1.txt\", \"c2.txt\"]; relative to this file
  members = 4              # the first so many command files
  messages = 100           # so many multicasts of each member, without files
  order = \"total\"          # and method, reliability, speed, timeout
  safe = true              # clients deliver only what all have
  can_sequence = true      # clients can take the place of the sequencer
  standby = true           # a process stands by to do that
  suspect_after = \"2s\"     # a member that is silent for so long is lost
  expect = \"died:c2\"       # or pass, undecided, violated, violated:total
  seed = 7                 # of the fates of packets, and of jitter
  [[faults]]
  kill = \"c2\"              # a client, or one of the processes below
  after = \"500ms\"          # from the start of the clients
  signal = \"KILL\"          # or TERM, INT, STOP, CONT; with STOP: for = \"2s\"
  dies = true              # the others go on and are judged
  [[faults]]
  kill = \"forwarder\"       # or router, sequencer, standby, proxy
  after = \"1s\"
  restart = \"300ms\"        # so much later it is started again
  [[faults]]
  starve = 8               # so many threads keep the processor busy
  after = \"1s\"
  for = \"2s\"
  [[faults]]
  link = \"0s loss 5%\"      # see `groupcast proxy --help`; members connect
                           # through a proxy
  of = \"c2\"                # only the connections of this client

A fault that never acted leaves a run undecided.
Everything is kept in runs/<date and time>/, to which runs/latest leads: results, histories, what each process said \
(<name>.log), the command files, and run.json, which says how it was started. With --verbose each client also says \
what its multicasts cost. Ctrl-C ends a run within a few seconds, \
a second one at once. A client or server that dies ends the run with its exit code, or with 69 if somebody killed it or told it to end.";

/// Arguments of `groupcast run`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = format!("{HELP}\n\n{}\n\n{}", cli::ENVIRONMENT, crate::exit::HELP))]
pub(crate) struct Args {
    /// A folder with a command file (*.txt) per client, or a scenario (*.toml)
    #[arg(value_name = "DIR|SCENARIO")]
    path: Option<PathBuf>,
    /// The order of delivery
    #[arg(long, value_name = "ORDER", env = "GROUPCAST_ORDER", hide_env = true, value_parser = PossibleValuesParser::new(order::all_names()))]
    order: Option<String>,
    /// Method of that order, if it has several: bb, ub, uub
    #[arg(long, value_name = "METHOD", env = "GROUPCAST_METHOD", hide_env = true)]
    method: Option<String>,
    /// How multicasts reach the members: nack, basic or flood, as with `client --reliability` (nack)
    #[arg(long, value_name = "HOW", env = "GROUPCAST_RELIABILITY", hide_env = true, value_parser = cli::reliability())]
    reliability: Option<Reliability>,
    /// Divide the sleeps of the command files by this
    #[arg(long, value_name = "FACTOR", env = "GROUPCAST_SPEED", hide_env = true, value_parser = cli::factor)]
    speed: Option<f64>,
    /// Take only the first so many command files; with --messages, how many clients there are
    #[arg(long, value_name = "N", env = "GROUPCAST_MEMBERS", hide_env = true, value_parser = clap::value_parser!(u16).range(1..=i64::from(MOST_MEMBERS)))]
    members: Option<u16>,
    /// Instead of command files: so many multicasts of each client
    #[arg(long, value_name = "N", env = "GROUPCAST_MESSAGES", hide_env = true, conflicts_with = "path", value_parser = clap::value_parser!(u64).range(1..=MOST_MESSAGES))]
    messages: Option<u64>,
    /// Run so many times, up to the first that does not pass; of those that pass only the last is kept
    #[arg(long, value_name = "N", env = "GROUPCAST_REPEAT", hide_env = true, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    repeat: u32,
    /// Keep the folders of all repeated runs
    #[arg(long, env = "GROUPCAST_KEEP", hide_env = true, value_parser = FalseyValueParser::new())]
    keep: bool,
    /// Print what would be started, with ports and files, and start nothing
    #[arg(long, env = "GROUPCAST_DRY_RUN", hide_env = true, value_parser = FalseyValueParser::new())]
    dry_run: bool,
    /// Print what happens as JSON, one object a line, the last one a summary
    #[arg(long, env = "GROUPCAST_JSON", hide_env = true, value_parser = FalseyValueParser::new())]
    json: bool,
    /// First of the four ports; without it, free ones are found
    #[arg(long, value_name = "PORT", env = "GROUPCAST_PORT_BASE", hide_env = true, value_parser = cli::port_base())]
    port_base: Option<u16>,
    /// Give up if nothing has happened for this long (300s)
    #[arg(long, value_name = "TIME", env = "GROUPCAST_TIMEOUT", hide_env = true, value_parser = units::parse_duration)]
    timeout: Option<Duration>,
    /// The seed of what faults of links draw (1)
    #[arg(long, value_name = "N", env = "GROUPCAST_SEED", hide_env = true)]
    seed: Option<u64>,
    /// Let the histories tell what each message waited for, for `groupcast diagram` and `explain`
    #[arg(long, env = "GROUPCAST_TRACE", hide_env = true, value_parser = FalseyValueParser::new())]
    trace: bool,
    /// Let the processes use keys, which are made for this run: all connections are encrypted, or, in order tentative, all
    /// datagrams prove that they are of members
    #[arg(long)]
    keys: bool,
    /// Let clients deliver only what all have, as `client --safe` does
    #[arg(long, env = "GROUPCAST_SAFE", hide_env = true, value_parser = FalseyValueParser::new())]
    safe: bool,
    /// Let a process stand by for the sequencer, as `sequencer --standby` does
    #[arg(long, env = "GROUPCAST_STANDBY", hide_env = true, value_parser = FalseyValueParser::new())]
    standby: bool,
    #[command(flatten)]
    known_bad: KnownBad,
    #[command(flatten)]
    voice: Voice,
}

/// Runs the scenario and judges it.
///
/// # Errors
/// If it cannot be run or judged. A run that fails is no error: its verdict is printed, and its exit code returned.
pub(crate) fn run(args: &Args) -> Result<Exit> {
    let scenario = args.scenario()?;
    let known_bad = args.known_bad.name().map(str::to_owned);
    let settings = Settings {
        known_bad,
        trace: args.trace,
        keys: args.keys,
        ..Settings::new(&scenario, args.voice.verbose)?
    };
    if settings.keys
        && !settings.way.is_cluster()
        && let Some(fault) = settings.links.iter().find(|fault| fault.kind.is_about_packets())
    {
        bail!(
            Failure::new(Exit::Usage, format!("with --keys `{fault}` cannot act: packets are encrypted"))
                .help(
                    "cut, delay, stall and the other faults of whole connections can; or run without --keys"
                )
        );
    }
    let run = Run { args, settings, talk: args.voice.talk("run"), interrupts: Interrupts::default() };
    run.settings.passed_over.iter().for_each(|warning| run.talk.warn(warning));
    if args.dry_run { run.tell_plan() } else { run.repeat() }
}

impl Args {
    /// Returns the scenario of the file, if there is one, with the options of the command line on top.
    fn scenario(&self) -> Result<Scenario> {
        let asked = match &self.path {
            Some(path) if path.extension().is_some_and(|extension| extension == "toml") => {
                Scenario::read(path)?
            }
            Some(folder) if folder.join(SCENARIO).is_file() => scenario_of(folder)?,
            path => Scenario { commands: path.clone().map(Commands::Folder), ..Scenario::default() },
        };
        Ok(Scenario {
            members: self.members.map(usize::from).or(asked.members),
            messages: self.messages.or(asked.messages),
            order: self.order.clone().or(asked.order),
            method: self.method.clone().or(asked.method),
            reliability: self.reliability.or(asked.reliability),
            speed: self.speed.or(asked.speed),
            timeout: self.timeout.or(asked.timeout),
            seed: self.seed.or(asked.seed),
            safe: self.safe || asked.safe,
            standby: self.standby || asked.standby,
            ..asked
        })
    }

    /// Returns the command that runs the same again.
    fn replay(&self) -> String {
        let mut words = vec!["groupcast".to_owned(), "run".to_owned()];
        words.extend(self.path.iter().map(|path| quoted(&path.display().to_string())));
        let options = [
            ("--order", self.order.clone()),
            ("--method", self.method.clone()),
            ("--reliability", self.reliability.map(|one| one.name().to_owned())),
            ("--speed", self.speed.map(|speed| speed.to_string())),
            ("--members", self.members.map(|members| members.to_string())),
            ("--messages", self.messages.map(|messages| messages.to_string())),
            ("--seed", self.seed.map(|seed| seed.to_string())),
            ("--known-bad", self.known_bad.name().map(str::to_owned)),
            ("--timeout", self.timeout.map(|time| quoted(&humantime::format_duration(time).to_string()))),
        ];
        words.extend(self.trace.then(|| "--trace".to_owned()));
        words.extend(self.keys.then(|| "--keys".to_owned()));
        words.extend(self.safe.then(|| "--safe".to_owned()));
        words.extend(self.standby.then(|| "--standby".to_owned()));
        for (name, value) in options {
            words.extend(value.into_iter().flat_map(|value| [name.to_owned(), value]));
        }
        words.join(" ")
    }
}

/// Returns the scenario of a folder that has one.
fn scenario_of(folder: &Path) -> Result<Scenario, Failure> {
    let mut scenario = Scenario::read(&folder.join(SCENARIO))?;
    scenario.commands.get_or_insert_with(|| Commands::Folder(folder.to_owned()));
    Ok(scenario)
}

/// A run, or several with the same settings.
struct Run<'a> {
    args: &'a Args,
    settings: Settings,
    talk: Talk,
    interrupts: Interrupts,
}

impl Run<'_> {
    fn tell_plan(&self) -> Result<Exit> {
        let plan = Plan::new(&self.settings, folder::next(), self.args.port_base)?;
        if self.args.json {
            cli::print(&plan.describe(&self.settings, &self.args.replay()).to_string())?;
        } else {
            cli::print(plan.text(&self.settings).trim_end())?;
        }
        Ok(Exit::Ok)
    }

    fn repeat(&self) -> Result<Exit> {
        let (interrupts, talk) = (self.interrupts.clone(), self.talk.clone());
        listen(move |exit| {
            let is_running = interrupts.interrupt(exit);
            if !is_running {
                talk.fail(&interruption(exit));
            }
            is_running
        })?;
        let mut before: Option<PathBuf> = None;
        for turn in 1..=self.args.repeat {
            let (verdict, folder) = self.once(turn)?;
            if let Some(passed) = before.replace(folder).filter(|_| !self.args.keep) {
                self.remove(&passed);
            }
            if verdict.exit != Exit::Ok {
                self.summarize(turn - 1, Some(&verdict))?;
                return Ok(verdict.exit);
            }
        }
        self.summarize(self.args.repeat, None)?;
        Ok(Exit::Ok)
    }

    /// Performs one run, from its folder to its verdict.
    fn once(&self, turn: u32) -> Result<(Verdict, PathBuf)> {
        let plan = Plan::new(&self.settings, folder::create()?, self.args.port_base)?;
        plan.prepare(&self.settings, &self.args.replay())?;
        self.announce(&plan, turn)?;
        let mut show = show::choose(&self.args.voice, self.args.json, &plan);
        let outcome = watch(&plan, &self.settings.faults, &self.interrupts, &mut *show)?;
        let is_complete = outcome.interrupted.is_none() && outcome.culprit.is_none();
        let judgement = is_complete.then(|| judge(&plan, self.args.json)).transpose()?;
        let verdict = Verdict::new(&self.settings, &outcome, judgement.as_ref());
        self.tell(&verdict, &outcome, &plan, turn)?;
        Ok((verdict, plan.folder))
    }

    fn announce(&self, plan: &Plan, turn: u32) -> Result<()> {
        if self.args.json {
            let mut value = plan.describe(&self.settings, &self.args.replay());
            value["event"] = json!("start");
            value["turn"] = json!(turn);
            return cli::print(&value.to_string());
        }
        let turn =
            if self.args.repeat > 1 { format!("{turn} of {}: ", self.args.repeat) } else { String::new() };
        let title = self.settings.title();
        self.talk.say(format!(
            "{turn}{title}, ports {}, {}/",
            plan.range(&self.settings),
            plan.folder.display()
        ));
        Ok(())
    }

    fn tell(&self, verdict: &Verdict, outcome: &Outcome, plan: &Plan, turn: u32) -> Result<()> {
        if self.args.json {
            let mut value = verdict.json();
            value["sent_again"] = json!(outcome.sent_again);
            value["undeliverable"] = json!(outcome.undeliverable);
            value["faults"] = outcome.faults.iter().map(Report::json).collect();
            value["dir"] = json!(plan.folder);
            value["replay"] = json!(self.args.replay());
            value["turn"] = json!(turn);
            return cli::print(&value.to_string());
        }
        let width = outcome.faults.iter().map(|fault| fault.fault().len()).max().unwrap_or_default();
        outcome.faults.iter().try_for_each(|fault| cli::print(&fault.line(width)))?;
        let color = self.args.voice.color.on(std::io::stdout().is_terminal());
        cli::print(&verdict.line(color))?;
        // Of several runs that pass, only the last one shows its folder.
        if verdict.exit != Exit::Ok || turn == self.args.repeat {
            cli::print(&format!("      see {}/   again: {}", plan.folder.display(), self.args.replay()))?;
        }
        Ok(())
    }

    /// Prints the summary of several runs.
    fn summarize(&self, passed: u32, failed: Option<&Verdict>) -> Result<()> {
        let Args { repeat, keep, json, .. } = *self.args;
        if repeat == 1 {
            return Ok(());
        }
        if json {
            let word = failed.map_or("PASS", Verdict::word);
            let value: Value = json!({
                "v": 1, "event": "repeat", "verdict": word, "passed": passed, "asked": repeat, "kept": keep,
            });
            return cli::print(&value.to_string());
        }
        let kept = match (keep, failed) {
            (true, _) => "all folders are kept",
            (false, None) => "the folder of the last one is kept; --keep keeps all",
            (false, Some(_)) => {
                "the folder of the last one is kept, those of the others are not; --keep keeps all"
            }
        };
        let s = if passed == 1 { "" } else { "s" };
        cli::print(&match failed {
            None => format!("{passed} runs, all passed; {kept}"),
            Some(verdict) => format!("{} after {passed} run{s} that passed; {kept}", verdict.word()),
        })
    }

    /// Removes the folder of a run that passed.
    fn remove(&self, folder: &PathBuf) {
        if let Err(reason) = fs::remove_dir_all(folder) {
            self.talk.warn(format!("cannot remove {}: {reason}", folder.display()));
        }
    }
}
