//! `groupcast cluster kill` and `start`: errands for the running `up`, which alone knows its processes. They are files in
//! the folder, so that it takes the rights of the folder to ask.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use super::folder::{Folder, START_TIMEOUT, errands, is_up, servers, write_whole};
use crate::cli;
use crate::driver::clock;
use crate::exit::{Exit, Failure};
use crate::transport::signals::{Signals, interruption};
use crate::transport::wakeup::wait;
use crate::units;

/// The endings of an errand and of its reply.
const ERRAND: &str = "json";
const REPLY: &str = "reply";
/// The time between two looks for the reply.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// The time that `up` may take to reply beyond what a server has to answer.
const SLACK: Duration = Duration::from_secs(10);

/// A request to `up`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Errand {
    /// Kill a server.
    Kill { id: String },
    /// Start it again.
    Start { id: String },
}

impl Errand {
    pub(super) fn id(&self) -> &str {
        match self {
            Self::Kill { id } | Self::Start { id } => id,
        }
    }

    const fn word(&self) -> &'static str {
        match self {
            Self::Kill { .. } => "kill",
            Self::Start { .. } => "start",
        }
    }

    /// Returns the failure of this errand.
    pub(super) fn failure(&self, exit: Exit, why: &str) -> Failure {
        Failure::new(exit, format!("cannot {} {}: {why}", self.word(), self.id()))
    }
}

/// The reply of `up`: what was done, or why not.
#[derive(Debug, Deserialize, Serialize)]
struct Reply {
    exit: u8,
    text: String,
    help: Option<String>,
}

/// An errand that waits for its reply.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) errand: Errand,
    path: PathBuf,
}

impl Asked {
    /// Replies. Nobody minds if the one who asked has gone.
    pub(super) fn reply(self, outcome: Result<String, Failure>) {
        let reply = match outcome {
            Ok(text) => Reply { exit: Exit::Ok.code(), text, help: None },
            Err(Failure { exit, message, help, .. }) => Reply { exit: exit.code(), text: message, help },
        };
        if let Ok(text) = serde_json::to_vec(&reply) {
            let _ = write_whole(&self.path.with_extension(REPLY), &text);
        }
    }
}

/// Takes the errands that have come, the earliest first.
pub(super) fn take(dir: &Path) -> Vec<Asked> {
    let entries = fs::read_dir(errands(dir)).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|ending| ending == ERRAND));
    paths.sort();
    let take = |path: PathBuf| {
        let text = fs::read(&path).ok()?;
        fs::remove_file(&path).ok()?;
        Some(Asked { errand: serde_json::from_slice(&text).ok()?, path })
    };
    paths.into_iter().filter_map(take).collect()
}

/// Asks the `up` of a folder, and waits for its reply.
pub(super) fn run(dir: &Path, errand: &Errand) -> Result<Exit> {
    let folder = Folder::open(dir)?;
    folder.check(errand.id())?;
    let signals = Signals::catch()?;
    let gone = || {
        let why = format!("no `groupcast cluster up` runs in {}", dir.display());
        errand.failure(Exit::Unavailable, &why).help(format!("run `groupcast cluster up {}`", dir.display()))
    };
    let Some(up) = is_up(dir) else { return Err(gone().into()) };
    let name = format!("{:020}-{}.{ERRAND}", clock::calendar().as_nanos(), std::process::id());
    let path = errands(dir).join(name);
    let cannot = || Failure::new(Exit::Io, format!("cannot ask for it in {}", dir.display()));
    write_whole(&path, &serde_json::to_vec(errand)?).with_context(cannot)?;
    let within = servers(dir).map_or(START_TIMEOUT, |up| Duration::from_millis(up.start_timeout_ms));
    let limit = within.saturating_add(SLACK);
    // Another `up` that has begun meanwhile knows nothing of it.
    let outcome = wait_for_reply(&path, &signals, errand, limit, || is_up(dir) == Some(up));
    let _ = fs::remove_file(&path);
    let _ = fs::remove_file(path.with_extension(REPLY));
    let Some(reply) = outcome? else { return Err(gone().into()) };
    match Exit::from_code(reply.exit).unwrap_or(Exit::Bug) {
        Exit::Ok => cli::print(&reply.text).map(|()| Exit::Ok),
        exit => Err(Failure { help: reply.help, ..Failure::new(exit, reply.text) }.into()),
    }
}

/// Returns the reply; none if `up` has gone.
fn wait_for_reply(
    path: &Path,
    signals: &Signals,
    errand: &Errand,
    limit: Duration,
    is_up: impl Fn() -> bool,
) -> Result<Option<Reply>, Failure> {
    let start = clock::calendar();
    loop {
        // Asked before the look, so that the last reply of an `up` that ends is seen.
        let is_alive = is_up();
        if let Ok(text) = fs::read(path.with_extension(REPLY)) {
            let reply = serde_json::from_slice(&text);
            return reply
                .map(Some)
                .map_err(|error| errand.failure(Exit::BadData, &format!("the reply is none: {error}")));
        }
        if !is_alive {
            return Ok(None);
        }
        if clock::calendar().saturating_sub(start) >= limit {
            let why = format!("`groupcast cluster up` has not replied within {}", units::duration(limit));
            return Err(errand.failure(Exit::TimedOut, &why).help("is it stopped?"));
        }
        wait(signals.fds(), LOOK_EVERY);
        if let Some(exit) = signals.received() {
            return Err(interruption(exit));
        }
    }
}
