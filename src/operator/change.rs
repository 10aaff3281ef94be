//! `groupcast cluster add` and `remove`: asks a running member for a change of the members, and waits for the answer.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::show::{Found, is_held, read};
use crate::cli;
use crate::cluster::request::{self, Asked};
use crate::driver::clock;
use crate::exit::{Exit, Failure};
use crate::transport::signals::{Signals, interruption};
use crate::transport::wakeup::wait;
use crate::units;

/// The time between two looks for an answer.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// The time for which a process that has the journal may have written no status yet.
const START_LIMIT: Duration = Duration::from_secs(5);

/// Asks the member of a folder for a change, and waits for the answer.
pub(super) fn run(dir: &Path, asked: &Asked, limit: Duration) -> Result<Exit> {
    let cannot = |what: &str| Failure::new(Exit::Io, format!("cannot {what} in {}", dir.display()));
    let signals = Signals::catch()?;
    let Found { status, .. } = running_member(dir, &signals)?;
    if request::asked(dir).with_context(|| cannot("read the request"))?.is_some_and(|other| other != *asked) {
        let why = format!("cannot change the cluster: {} is still busy with another change", status.id);
        return Err(Failure::new(Exit::Unavailable, why)
            .help("one at a time: run this again in a while")
            .into());
    }
    request::ask(dir, asked).with_context(|| cannot("write a request"))?;
    let start = clock::calendar();
    while clock::calendar().saturating_sub(start) < limit {
        wait(signals.fds(), LOOK_EVERY);
        if let Some(exit) = signals.received() {
            request::take_back(dir).with_context(|| cannot("take the request back"))?;
            return Err(interruption(exit).into());
        }
        let answer = request::answered(dir).with_context(|| cannot("read the answer"))?;
        let Some(answer) = answer.filter(|answer| answer.asked == *asked) else { continue };
        if let Some(why) = answer.refused {
            return Err(Failure::new(Exit::Unavailable, format!("cannot change the cluster: {why}")).into());
        }
        let done = match asked {
            Asked::Add { id, udp } => format!("{id} at {udp} was added"),
            Asked::Remove { id } => format!("{id} was removed"),
        };
        cli::print(&format!("{done}: epoch {}", answer.epoch.unwrap_or_default()))?;
        return Ok(Exit::Ok);
    }
    request::take_back(dir).with_context(|| cannot("take the request back"))?;
    let why = format!("cannot change the cluster: no majority has agreed within {}", units::duration(limit));
    Err(Failure::new(Exit::TimedOut, why)
        .help(format!(
            "{} may still go on with it: `groupcast cluster status {}` shows its members",
            status.id,
            dir.display()
        ))
        .into())
}

/// Returns the status of the member that runs with a folder; waits for one that has just been started.
fn running_member(dir: &Path, signals: &Signals) -> Result<Found> {
    let path = dir.join("status.json");
    let start = clock::calendar();
    loop {
        if path.is_file() {
            let found = read(&path)?;
            if found.is_running {
                return Ok(found);
            }
        }
        if !is_held(dir) || clock::calendar().saturating_sub(start) >= START_LIMIT {
            return Err(no_member(dir).into());
        }
        wait(signals.fds(), LOOK_EVERY);
        if let Some(exit) = signals.received() {
            return Err(interruption(exit).into());
        }
    }
}

fn no_member(dir: &Path) -> Failure {
    let why =
        format!("cannot ask for a change: no member of a cluster runs with the folder {}", dir.display());
    Failure::new(Exit::Unavailable, why)
        .help("name the folder that was given to the --data of a running member of this machine")
}
