//! Asks what the delivered messages say about a run: the one place that knows how.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use super::plan::Plan;
use crate::check::PROPERTIES;
use crate::cli;
use crate::exit::{Exit, Failure};
use crate::order::{Order, Promise};

/// What came of judging a run.
#[derive(Clone, Debug)]
pub(super) struct Judgement {
    /// [`Exit::Ok`], [`Exit::Violated`] or [`Exit::Undecided`].
    pub(super) exit: Exit,
    /// The names of the properties that are violated.
    pub(super) violated: Vec<String>,
}

/// Judges what is in the folder of a run, and prints a line per property.
///
/// # Errors
/// Whatever keeps the run from being judged.
pub(super) fn judge(plan: &Plan, order: &Order, json: bool) -> Result<Judgement, Failure> {
    let program = std::env::current_exe().map_err(|reason| cannot(&reason.to_string()))?;
    if has_check(&program) { by_check(&program, plan, json) } else { by_comparing(plan, order, json) }
}

fn cannot(reason: &str) -> Failure {
    Failure::new(Exit::Io, format!("cannot judge the run: {reason}"))
}

fn has_check(program: &Path) -> bool {
    let mut command = Command::new(program);
    let command = command.args(["check", "--help"]).stdin(Stdio::null());
    command.output().is_ok_and(|output| output.status.success())
}

/// Lets `groupcast check` judge, and passes on what it prints.
fn by_check(program: &Path, plan: &Plan, json: bool) -> Result<Judgement, Failure> {
    let mut command = Command::new(program);
    command.arg("check").arg(&plan.folder).arg("--commands").arg(plan.commands_folder());
    command.args(json.then_some("--json"));
    let Output { status, stdout, .. } = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|reason| cannot(&reason.to_string()))?;
    let text = String::from_utf8_lossy(&stdout);
    cli::print(text.trim_end())?;
    let exit = status.code().and_then(|code| Exit::from_code(code as u8));
    match exit {
        Some(exit @ (Exit::Ok | Exit::Violated | Exit::Undecided)) => {
            Ok(Judgement { exit, violated: violated_in(&text) })
        }
        _ => Err(cannot(&format!("groupcast check ended with {status}"))),
    }
}

/// The properties that a line calls violated.
fn violated_in(text: &str) -> Vec<String> {
    let violated = text.lines().filter(|line| line.to_lowercase().contains("violated"));
    let words =
        violated.flat_map(|line| line.split(|letter: char| !letter.is_alphanumeric() && letter != '-'));
    let words: Vec<&str> = words.collect();
    let named = PROPERTIES.iter().filter(|property| words.contains(&property.name));
    named.map(|property| property.name.to_owned()).collect()
}

/// Compares what the members delivered. It stands in for `groupcast check` in a build that has none, and goes with the
/// last of these.
fn by_comparing(plan: &Plan, order: &Order, json: bool) -> Result<Judgement, Failure> {
    let read = |name: &str| {
        let path = plan.folder.join(format!("test_result_{name}_{}.txt", order.suffix));
        let text =
            fs::read_to_string(&path).map_err(|reason| cannot(&format!("{}: {reason}", path.display())))?;
        Ok(text.lines().map(str::to_owned).collect::<Vec<_>>())
    };
    let mut delivered: Vec<Vec<String>> =
        plan.clients().iter().map(|process| read(&process.name)).collect::<Result<_, Failure>>()?;
    let all_alike = |delivered: &[Vec<String>]| delivered.windows(2).all(|pair| pair[0] == pair[1]);
    let mut found = Vec::new();
    if order.promises.contains(&Promise::Total) {
        found.push(("total", all_alike(&delivered)));
    }
    delivered.iter_mut().for_each(|lines| lines.sort_unstable());
    found.insert(0, ("agreement", all_alike(&delivered)));
    for (name, holds) in &found {
        let verdict = if *holds { "ok" } else { "VIOLATED" };
        cli::print(&if json {
            serde_json::json!({"v": 1, "event": "property", "property": name, "verdict": verdict}).to_string()
        } else {
            format!("{name:<16}{verdict}")
        })?;
    }
    let violated: Vec<String> =
        found.iter().filter(|(_, holds)| !holds).map(|(name, _)| (*name).to_owned()).collect();
    Ok(Judgement { exit: if violated.is_empty() { Exit::Ok } else { Exit::Violated }, violated })
}
