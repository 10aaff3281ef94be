//! The start of a process of a round.

use super::part::{Part, Role};
use super::{baseline, cluster, member};
use crate::cli::KnownBad;
use crate::exit::{Exit, Failure};
use crate::talk::Talk;

/// Plays the part that the parent passed as JSON.
///
/// # Errors
/// Any failure that ends the part early; [`Exit::Violated`] for a wrong order.
pub(super) fn play(text: &str, known_bad: &KnownBad, talk: &Talk) -> Result<Exit, Failure> {
    let part: Part = serde_json::from_str(text)
        .map_err(|error| Failure::new(Exit::Usage, format!("--part is for our own use: {error}")))?;
    match &part.role {
        Role::Member { .. } => member::run(&part, known_bad, talk),
        Role::Cluster { .. } => cluster::run(&part, known_bad, talk),
        Role::Middle(kind) => baseline::stand_in_the_middle(*kind, &part),
        Role::Plain(kind) => baseline::run(*kind, &part),
    }
}
