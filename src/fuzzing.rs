//! The parsers of files from users, for fuzz targets, without the programs around them.
//!
//! Each function does all that a program does with such a file, except printing. Fuzz targets of public functions need
//! none of these: see `fuzz/`.

use std::path::Path;

use bytes::Bytes;

use crate::check::{self, Timeline};
use crate::exit::Failure;
use crate::fault::script;
use crate::place::{Flaw, Source};
use crate::{diagram, explain, run};

/// Parses a script of faults, and returns each fault as it would be written.
///
/// # Errors
/// The first mistake, with its place.
pub fn faults(text: &str) -> Result<Vec<String>, Failure> {
    let faults = script::parse(text).map_err(|flaw| failure(text, flaw))?;
    Ok(faults.iter().map(ToString::to_string).collect())
}

/// Parses a scenario.
///
/// # Errors
/// The first mistake, with its place.
pub fn scenario(text: &str) -> Result<(), Failure> {
    run::objection(text).map_or(Ok(()), |flaw| Err(failure(text, flaw)))
}

/// Reads a folder of results, judges all properties, and reports, draws and explains the run.
///
/// # Errors
/// As [`check::tool::run`], [`diagram::tool::run`] and [`explain::run`].
pub fn results(dir: &Path) -> Result<Vec<String>, Failure> {
    let mut all = check::tool::reports(dir)?;
    let timeline = Timeline::read(dir, None, None)?;
    all.extend(diagram::tool::drawings(&timeline));
    all.extend(explain::all(&timeline));
    Ok(all)
}

fn failure(text: &str, flaw: Flaw) -> Failure {
    Source { name: "input".into(), text: Bytes::copy_from_slice(text.as_bytes()) }.failure(flaw)
}
