//! `groupcast chaos`: the command line of the chaos tool.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::draw::{Drawn, draw};
use super::table::{Report, Table};
use crate::cli::{self, KnownBad, Voice};
use crate::driver::Clock;
use crate::engine::Time;
use crate::exit::{Exit, Failure};
use crate::lock::{lock, unpoisoned};
use crate::processes::{Event, Interrupts, Processes, Stop};
use crate::talk::Talk;
use crate::transport::signals::{interruption, listen};
use crate::units::duration;

/// The example and the notes of `--help`.
const HELP: &str = "\
Examples:
  groupcast chaos --runs 2
  groupcast chaos --runs 1 --seed 17

Each run has two to five clients, an order, a workload and one to six faults that its seed draws: everything that \
`groupcast proxy` does to links, forwarder or router killed and started again, a process stopped for a while, a \
machine that is busy. It lasts a few seconds and must deliver everything as promised. One that does not keeps its \
folder, chaos/<seed>/, with its scenario and all that came of it; one in which no fault acted is undecided.";

const FOLDER: &str = "chaos";
/// The time after which a run hangs: its work, and every limit within it, are shorter.
const LIMIT: Duration = Duration::from_secs(90);
/// The end of a run that hangs or is interrupted: it needs time to end its processes.
const STOP: Stop = Stop::Terminate(Duration::from_secs(15));

/// Arguments of `groupcast chaos`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = format!("{HELP}\n\n{}", crate::exit::HELP))]
pub(crate) struct Args {
    /// The seed of the first run; the next one has the next
    #[arg(long, value_name = "N", env = "GROUPCAST_SEED", hide_env = true, default_value_t = 1)]
    seed: u64,
    /// So many runs
    #[arg(long, value_name = "N", conflicts_with = "minutes", value_parser = clap::value_parser!(u64).range(1..))]
    runs: Option<u64>,
    /// As many runs as begin within so many minutes (3)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=100_000))]
    minutes: Option<u64>,
    /// Runs at the same time
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=100))]
    jobs: u16,
    /// Let the processes use keys: all connections are encrypted, and no fault acts on single packets
    #[arg(long)]
    keys: bool,
    #[command(flatten)]
    known_bad: KnownBad,
    #[command(flatten)]
    voice: Voice,
}

/// Performs the runs and prints the tables.
///
/// # Errors
/// If a run cannot be started; interruption, after the tables of the runs before it. A run that fails is no error: it
/// is reported, and its exit code returned.
pub(crate) fn run(args: &Args) -> Result<Exit> {
    let asked = Arc::new(OnceLock::new());
    let heard = Arc::clone(&asked);
    listen(move |exit| heard.set(exit).is_ok())?;
    let chaos = Chaos {
        args,
        asked,
        program: std::env::current_exe()
            .context(Failure::new(Exit::Unavailable, "cannot find this program"))?,
        talk: args.voice.talk("chaos"),
        clock: Clock::start(),
        state: Mutex::new(State { begun: 0, table: Table::default(), broken: None }),
    };
    std::thread::scope(|scope| {
        for _ in 0..args.jobs {
            scope.spawn(|| chaos.work());
        }
    });
    let State { begun, table, broken } = unpoisoned(chaos.state.into_inner());
    if let Some(error) = broken {
        return Err(error);
    }
    cli::print(table.text().trim_end())?;
    if let Some(&exit) = chaos.asked.get() {
        bail!(interruption(exit));
    }
    let (exit, last) = (table.exit(), args.seed + begun - 1);
    let word = match exit {
        Exit::Ok => "PASS",
        Exit::Undecided => "UNDECIDED",
        _ => "FAIL",
    };
    let took = duration(Duration::from_micros(chaos.clock.elapsed_micros()));
    let s = if begun == 1 { "" } else { "s" };
    cli::print(&format!("{word}  {begun} run{s}, seeds {} to {last}, in {took}", args.seed))?;
    Ok(exit)
}

/// The state that the threads share.
struct Chaos<'a> {
    args: &'a Args,
    /// The exit code that a signal asked for.
    asked: Arc<OnceLock<Exit>>,
    program: PathBuf,
    talk: Talk,
    clock: Clock,
    state: Mutex<State>,
}

struct State {
    begun: u64,
    table: Table,
    /// The failure that keeps runs from being started.
    broken: Option<anyhow::Error>,
}

impl Chaos<'_> {
    fn work(&self) {
        while let Some(seed) = self.next() {
            match self.one(seed) {
                Ok(Some(report)) => self.lock().table.add(&report),
                Ok(None) => {}
                Err(error) => self.lock().broken = Some(error),
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Returns the seed of the next run, if there is one.
    fn next(&self) -> Option<u64> {
        let mut state = self.lock();
        let is_over = match self.args.runs {
            Some(runs) => state.begun >= runs,
            None => self.clock.elapsed_micros() >= self.args.minutes.unwrap_or(3) * 60_000_000,
        };
        if is_over || state.broken.is_some() || self.asked.get().is_some() {
            return None;
        }
        state.begun += 1;
        Some(self.args.seed + state.begun - 1)
    }

    /// Performs one run, and keeps its folder if it does not pass; returns `None` if it is interrupted.
    fn one(&self, seed: u64) -> Result<Option<Report>> {
        let drawn = draw(seed, self.args.keys);
        let folder = Path::new(FOLDER).join(seed.to_string());
        let cannot = || Failure::new(Exit::CannotCreate, format!("cannot fill {}", folder.display()));
        prepare(&folder, &drawn).with_context(cannot)?;
        let report = self.play(&folder, &drawn.title)?;
        if report.exit.is_asked_for() {
            fs::remove_dir_all(&folder).with_context(cannot)?;
            return Ok(None);
        }
        if report.exit == Exit::Ok {
            fs::remove_dir_all(&folder).with_context(cannot)?;
            self.talk.detail(format!("seed {seed}: {}: {}", report.title, report.why));
        } else {
            let known_bad =
                self.args.known_bad.name().map_or_else(String::new, |name| format!(" --known-bad {name}"));
            let keys = if self.args.keys { " --keys" } else { "" };
            let word = if report.exit == Exit::Undecided { "UNDECIDED" } else { "FAIL" };
            self.talk.warn(format!(
                "seed {seed}: {word}: {}: {}; see {}/   again: groupcast chaos --runs 1 --seed {seed}{keys}{known_bad}",
                report.title,
                report.why,
                folder.display()
            ));
        }
        Ok(Some(report))
    }

    fn play(&self, folder: &Path, title: &str) -> Result<Report> {
        // The log is written as it comes: it is what remains of a run that hangs.
        let cannot = || Failure::new(Exit::Unavailable, format!("cannot write {}", folder.display()));
        let mut log = File::create(folder.join("run.log")).with_context(cannot)?;
        let mut command = Command::new(&self.program);
        command.args(["run", "scenario.toml", "--json"]).current_dir(folder).stdin(Stdio::null());
        command.args(self.args.keys.then_some("--keys"));
        command.args(self.args.known_bad.name().iter().flat_map(|name| ["--known-bad", name]));
        let mut processes = Processes::new(&Interrupts::default());
        processes.start(0, "a run", command, ())?;
        processes.plan_stop(Time::ZERO.after(LIMIT), STOP);
        let mut printed = String::new();
        while !processes.are_over() {
            let (events, now) = processes.events();
            for event in events {
                match event {
                    Event::Line(_, line) => {
                        let line = String::from_utf8_lossy(&line);
                        if line.starts_with('{') {
                            printed.extend([&*line, "\n"]);
                        } else {
                            writeln!(log, "{line}").with_context(cannot)?;
                        }
                    }
                    Event::Closed(run) => drop(processes.wait(run)?),
                    Event::Interrupted(_) => {}
                }
            }
            if self.asked.get().is_some() && !processes.all[0].was_told {
                processes.plan_stop(now, STOP);
            }
            processes.stop_as_planned(now);
        }
        fs::write(folder.join("run.jsonl"), &printed).with_context(cannot)?;
        Ok(match self.asked.get() {
            _ if !processes.all[0].was_told => Report::read(title, &printed),
            Some(&exit) => Report::failed(title, exit, "interrupted".to_owned()),
            None => {
                let why = format!("it hung: no end within {}", duration(LIMIT));
                Report::failed(title, Exit::TimedOut, why)
            }
        })
    }
}

fn prepare(folder: &Path, drawn: &Drawn) -> std::io::Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    fs::create_dir_all(folder)?;
    fs::write(folder.join("scenario.toml"), &drawn.scenario)?;
    drawn.commands.iter().try_for_each(|(name, text)| fs::write(folder.join(name), text))
}
