//! The judgement of the properties of a run.

use anyhow::Result;
use serde_json::json;

use super::plan::Plan;
use crate::exit::Exit;
use crate::{check, cli};

/// The judgement of a run.
#[derive(Clone, Debug)]
pub(super) struct Judgement {
    /// [`Exit::Ok`], [`Exit::Violated`] or [`Exit::Undecided`].
    pub(super) exit: Exit,
    /// The names of the violated properties.
    pub(super) violated: Vec<&'static str>,
}

/// Judges the results in the folder of a run, and prints a line per property.
///
/// # Errors
/// As [`check::judge_folder`]; [`Exit::Io`] if standard output cannot be written.
pub(super) fn judge(plan: &Plan, json: bool) -> Result<Judgement> {
    let judgements = check::judge_folder(&plan.folder, &plan.commands_folder())?;
    let mut violated = Vec::new();
    for judgement in &judgements {
        if let Some(group) = judgement.group().filter(|_| judgements.len() > 1 && !json) {
            cli::print(&format!("group {group}"))?;
        }
        if !json {
            cli::print(judgement.lines().trim_end())?;
        }
        for (property, verdict) in judgement.properties() {
            if verdict.is_violated() {
                violated.push(property);
            }
            if json {
                cli::print(&property_json(property, verdict))?;
            }
        }
    }
    let verdicts = judgements.iter().flat_map(check::Judgement::properties).map(|(_, verdict)| verdict);
    Ok(Judgement { exit: check::exit(verdicts), violated })
}

fn property_json(property: &str, verdict: &check::Verdict) -> String {
    json!({
        "v": 1, "event": "property", "property": property,
        "verdict": verdict.word(), "why": verdict.why(), "places": verdict.places(),
    })
    .to_string()
}
