//! The parsers of files from users, for fuzz targets, without the programs around them.
//!
//! Each function does all that a program does with such a file, except printing. Fuzz targets of public functions need
//! none of these: see `fuzz/`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use bytes::Bytes;

use crate::check::{self, Timeline};
use crate::cluster::file::Cluster;
use crate::exit::Failure;
use crate::fault::script;
use crate::place::{Flaw, Source, without_mark};
use crate::{diagram, explain, journal, keys, run};

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

/// Parses a cluster file. Each name in it has an address of each family, made from its letters.
///
/// # Errors
/// The first mistake, with its place.
pub fn cluster(file: &[u8]) -> Result<Cluster, Failure> {
    let source = Source { name: "input".into(), text: without_mark(Bytes::copy_from_slice(file)) };
    Cluster::parse(&source, |name| {
        let sum = name.bytes().fold(7, |sum: u16, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
        let [high, low] = sum.to_be_bytes();
        let (four, six) = (Ipv4Addr::new(10, 0, high, low), Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, sum));
        Ok(vec![IpAddr::from(four), IpAddr::from(six)])
    })
}

/// Parses a key file, of a cluster or of a member, and returns it as it would be written.
///
/// # Errors
/// The first mistake, with its place.
pub fn key_file(file: &[u8], of_cluster: bool) -> Result<String, Failure> {
    let source = Source { name: "input".into(), text: without_mark(Bytes::copy_from_slice(file)) };
    keys::written_again(&source.text, of_cluster).map_err(|flaw| source.failure(flaw))
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

/// Shows the records of a journal in words and as objects, and checks them.
#[must_use]
pub fn journal(records: &[Bytes]) -> Vec<String> {
    journal::tool::told_of(&(1..).zip(records.iter().cloned()).collect::<Vec<_>>())
}

fn failure(text: &str, flaw: Flaw) -> Failure {
    Source { name: "input".into(), text: Bytes::copy_from_slice(text.as_bytes()) }.failure(flaw)
}
