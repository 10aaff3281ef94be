//! The verdicts on the folder of a cluster: the oracles of clusters, and two properties that need files.

use std::collections::BTreeMap;
use std::path::Path;

use super::cluster::{self, Stories, deliveries};
use super::history::{Event, History};
use super::read::ClusterRun;
use super::verdict::{Verdict, Witness};
use crate::exit::Failure;
use crate::results::result_line;
use crate::script::{Op, Script};

/// The property of the files of a member.
pub(super) const CONSISTENCY: &str = "consistency";
/// The property of command files.
pub(super) const VALIDITY: &str = "validity";

/// Judges a run; `commands` is the folder of command files.
///
/// # Errors
/// Exit 66 or 65 if a command file cannot be read or is malformed.
pub(super) fn judge(
    run: &ClusterRun,
    commands: Option<&Path>,
) -> Result<Vec<(&'static str, Verdict)>, Failure> {
    let mut verdicts = cluster::judge(&run.history);
    let delivered = deliveries(&Stories::new(&run.history));
    if let Some(commands) = commands {
        verdicts.push((VALIDITY, validity(run, &delivered, commands)?));
    }
    verdicts.push((CONSISTENCY, consistency(run, &delivered)));
    Ok(verdicts)
}

/// Returns the lines of the confirmed messages of a member.
fn lines(history: &History, member: usize) -> Vec<Vec<u8>> {
    let events = &history.records[member].events;
    let line = |event: &Event| match event {
        Event::Deliver { id, text, .. } => Some(result_line(history.who(id.member), text)),
        _ => None,
    };
    events.iter().filter_map(line).collect()
}

/// Judges whether the file with the confirmed texts of each member has what its histories tell. A member that was killed
/// may have written a little more in one than in the other.
fn consistency(run: &ClusterRun, delivered: &History) -> Verdict {
    let mut is_known = false;
    for (at, (member, file)) in run.history.members.iter().zip(&run.confirmed).enumerate() {
        let Some(file) = file.as_ref().filter(|_| !member.lives.is_empty()) else { continue };
        is_known = true;
        let told = lines(delivered, at);
        let differs = file.iter().zip(&told).position(|(line, told)| line[..] != told[..]);
        let is_longer = member.is_settled() && file.len() != told.len();
        let number = differs.map_or(file.len().min(told.len()), |at| at) + 1;
        if differs.is_some() || is_longer {
            let name = &member.name;
            let why = format!("test_result_{name}_tom.txt:{number} is not what the histories of {name} tell");
            return Verdict::Violated(Witness::from(why));
        }
    }
    if is_known {
        Verdict::Valid
    } else {
        Verdict::Undecided("there is no file of confirmed texts".to_owned())
    }
}

/// Judges whether each multicast of the command files is confirmed exactly once.
fn validity(run: &ClusterRun, delivered: &History, commands: &Path) -> Result<Verdict, Failure> {
    let Some(settled) = run.history.members.iter().position(cluster::MemberStory::is_settled) else {
        return Ok(Verdict::Undecided("no member came to the settled end".to_owned()));
    };
    let mut counts: BTreeMap<Vec<u8>, i64> = BTreeMap::new();
    lines(delivered, settled).into_iter().for_each(|line| *counts.entry(line).or_default() -= 1);
    for member in &run.history.members {
        let path = commands.join(format!("{}.txt", member.name));
        if !path.is_file() {
            return Ok(Verdict::Undecided(format!("there are no commands of {}", member.name)));
        }
        for line in Script::read_foreign(&path, &member.name)?.lines() {
            if let Op::Multicast(text) = &line.op {
                *counts.entry(result_line(&member.name, text)).or_default() += 1;
            }
        }
    }
    let wrong = counts.iter().find(|(_, count)| **count != 0);
    Ok(wrong.map_or(Verdict::Valid, |(line, count)| {
        let line = String::from_utf8_lossy(line);
        let what = if *count > 0 { "is missing" } else { "is not in the command files so often" };
        Verdict::Violated(Witness::from(format!("{line} {what} at {}", run.history.members[settled].name)))
    }))
}
