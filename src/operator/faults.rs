//! `groupcast cluster part`, `loss` and `heal`: write the file of faults, at which the servers look.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::path::Path;

use anyhow::Result;

use super::folder::{Folder, write_whole};
use crate::cli;
use crate::cluster::faults::{Faults, Way};
use crate::exit::{Exit, Failure};
use crate::units;

/// Parts the servers, whatever parted them before; the loss stays.
pub(super) fn part(dir: &Path, sides: &str, is_one_way: bool) -> Result<Exit> {
    let folder = Folder::open(dir)?;
    let ids = folder.cluster.ids();
    let sides = parse_sides(sides, &ids, is_one_way)?;
    if is_one_way && sides.len() != 2 {
        let why = format!("--one-way needs two sides, and these are {}", sides.len());
        return Err(Failure::new(Exit::Usage, why).into());
    }
    let blocked = blocked(&sides, is_one_way);
    let faults = change(&folder, |faults| faults.blocked = blocked)?;
    tell(&faults, &ids)
}

/// Lets the servers lose a share of what comes to them, in parts per million.
pub(super) fn lose(dir: &Path, share: u32) -> Result<Exit> {
    let folder = Folder::open(dir)?;
    let faults = change(&folder, |faults| faults.loss = f64::from(share) / 1e6)?;
    tell(&faults, &folder.cluster.ids())
}

/// Ends all faults.
pub(super) fn heal(dir: &Path) -> Result<Exit> {
    let folder = Folder::open(dir)?;
    let path = folder.faults();
    let _lock = lock(&folder)?;
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            let why = format!("cannot heal the cluster: cannot remove {}: {error}", path.display());
            Err(Failure::new(Exit::Io, why).into())
        }
        _ => tell(&Faults::default(), &folder.cluster.ids()),
    }
}

fn tell(faults: &Faults, ids: &[String]) -> Result<Exit> {
    cli::print(&format!("faults: {}", words(faults, ids)))?;
    Ok(Exit::Ok)
}

/// Changes the file of faults. A file that cannot be read counts as none.
fn change(folder: &Folder, act: impl FnOnce(&mut Faults)) -> Result<Faults, Failure> {
    let path = folder.faults();
    let _lock = lock(folder)?;
    let mut faults = Faults::read(&path).unwrap_or_default();
    act(&mut faults);
    let text = serde_json::to_vec(&faults).map_err(io::Error::from);
    let written = text.and_then(|text| write_whole(&path, &text));
    written.map_err(|error| Failure::new(Exit::Io, format!("cannot write {}: {error}", path.display())))?;
    Ok(faults)
}

/// Keeps other commands from changing the faults at the same time.
fn lock(folder: &Folder) -> Result<File, Failure> {
    let path = folder.file();
    let locked = File::open(&path).and_then(|file| match file.lock() {
        // A file system without locks.
        Err(error) if error.kind() != io::ErrorKind::Unsupported => Err(error),
        _ => Ok(file),
    });
    locked.map_err(|error| Failure::new(Exit::Io, format!("cannot lock {}: {error}", path.display())))
}

/// Parses sides like `s1,s2/s3`. The servers that are on none are one more side, unless two sides are enough.
///
/// # Errors
/// [`Exit::Usage`] for an id that is unknown or named twice, for an empty side, and if all are on one side.
fn parse_sides(text: &str, ids: &[String], is_one_way: bool) -> Result<Vec<Vec<String>>, Failure> {
    let wrong = |why: String| {
        let help = format!("write for example s1,s2/s3; the servers are {}", ids.join(", "));
        Failure::new(Exit::Usage, format!("cannot part the servers: {why}")).help(help)
    };
    let mut named = BTreeSet::new();
    let mut sides: Vec<Vec<String>> = Vec::new();
    for side in text.split('/') {
        let mut members = Vec::new();
        for id in side.split(',').map(str::trim) {
            if id.is_empty() {
                return Err(wrong(format!("a side of {text} lacks a server")));
            }
            if !ids.iter().any(|known| known == id) {
                return Err(wrong(format!("there is no server {id}")));
            }
            if !named.insert(id) {
                return Err(wrong(format!("{id} is named twice")));
            }
            members.push(id.to_owned());
        }
        sides.push(members);
    }
    let rest: Vec<String> = ids.iter().filter(|id| !named.contains(&***id)).cloned().collect();
    let is_enough = is_one_way && sides.len() == 2;
    if !rest.is_empty() && !is_enough {
        sides.push(rest);
    }
    if sides.len() < 2 {
        return Err(wrong("all are on one side".to_owned()));
    }
    Ok(sides)
}

/// Returns the ways between sides: in both directions, or only from the first to the second.
fn blocked(sides: &[Vec<String>], is_one_way: bool) -> Vec<Way> {
    let mut ways = Vec::new();
    for (at, from) in sides.iter().enumerate() {
        for (other, to) in sides.iter().enumerate() {
            if at == other || (is_one_way && at > other) {
                continue;
            }
            let between =
                |from: &String| to.iter().map(|to| Way { from: from.clone(), to: to.clone() }).collect();
            ways.extend(from.iter().flat_map(|from| -> Vec<Way> { between(from) }));
        }
    }
    ways
}

/// Says in words which faults are in force.
pub(super) fn words(faults: &Faults, ids: &[String]) -> String {
    let loss = faults.loss_in_parts();
    let loss = (loss > 0).then(|| format!("each server loses {} of what comes", units::percent(loss)));
    let parts = (!faults.blocked.is_empty()).then(|| match sides(faults, ids) {
        Some(sides) => {
            let sides: Vec<String> = sides.iter().map(|side| side.join(",")).collect();
            format!("parted {}", sides.join(" / "))
        }
        None => {
            let mut deaf: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
            for way in &faults.blocked {
                deaf.entry(&way.to).or_default().push(&way.from);
            }
            let deaf: Vec<String> =
                deaf.iter().map(|(to, from)| format!("{to} does not hear {}", from.join(","))).collect();
            deaf.join("; ")
        }
    });
    let words: Vec<String> = parts.into_iter().chain(loss).collect();
    if words.is_empty() { "none".to_owned() } else { words.join("; ") }
}

/// Returns the sides into which the ways that are cut part the servers; none if they do anything else.
fn sides(faults: &Faults, ids: &[String]) -> Option<Vec<Vec<String>>> {
    let cut: BTreeSet<(&str, &str)> = faults.blocked.iter().map(|way| (&*way.from, &*way.to)).collect();
    let mut sides: Vec<Vec<String>> = Vec::new();
    for id in ids {
        match sides.iter_mut().find(|side| !cut.contains(&(&*side[0], id.as_str()))) {
            Some(side) => side.push(id.clone()),
            None => sides.push(vec![id.clone()]),
        }
    }
    let whole: BTreeSet<Way> = blocked(&sides, false).into_iter().collect();
    let found: BTreeSet<Way> = faults.blocked.iter().cloned().collect();
    (whole == found).then_some(sides)
}

/// Parses a share like `10%` into parts per million; `0%` is none.
///
/// # Errors
/// Examples.
pub(super) fn parse_loss(text: &str) -> Result<u32, String> {
    if text.trim_end_matches('%').parse() == Ok(0.0) { Ok(0) } else { units::parse_share(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids() -> Vec<String> {
        (1..=5).map(|number| format!("s{number}")).collect()
    }

    fn parted(text: &str, is_one_way: bool) -> Faults {
        let sides = parse_sides(text, &ids(), is_one_way).unwrap();
        Faults::new(blocked(&sides, is_one_way), 0.0)
    }

    #[test]
    fn sides_are_cut_from_one_another_in_both_directions() {
        for (text, ways, told) in [
            ("s1,s2/s3,s4,s5", 12, "parted s1,s2 / s3,s4,s5"),
            ("s4,s5,s3/s2,s1", 12, "parted s1,s2 / s3,s4,s5"),
            ("s3", 8, "parted s1,s2,s4,s5 / s3"),
            ("s1/s2", 14, "parted s1 / s2 / s3,s4,s5"),
            ("s1/s2/s3/s4/s5", 20, "parted s1 / s2 / s3 / s4 / s5"),
        ] {
            let faults = parted(text, false);
            assert_eq!((faults.blocked.len(), &*words(&faults, &ids())), (ways, told), "{text}");
        }
    }

    #[test]
    fn one_way_is_cut_in_one_direction_only() {
        assert_eq!(words(&parted("s1/s2", true), &ids()), "s2 does not hear s1");
        let faults = parted("s1", true);
        assert_eq!(faults.blocked.len(), 4);
        assert!(faults.blocked.iter().all(|way| way.from == "s1"));
        let told = words(&Faults::new(faults.blocked, 0.1), &ids());
        assert!(told.starts_with("s2 does not hear s1; s3 does not hear s1; "), "{told}");
        assert!(told.ends_with("; each server loses 10% of what comes"), "{told}");
        assert_eq!(words(&Faults::default(), &ids()), "none");
    }

    #[test]
    fn sides_that_make_no_sense_are_refused() {
        for (text, why) in [
            ("s1,s2/s6", "no server s6"),
            ("s1/s1", "s1 is named twice"),
            ("s1,,s2/s3", "lacks a server"),
            ("s1/", "lacks a server"),
            ("", "lacks a server"),
            ("s1,s2,s3,s4,s5", "all are on one side"),
        ] {
            let failure = parse_sides(text, &ids(), false).unwrap_err();
            assert!(failure.exit == Exit::Usage && failure.message.contains(why), "{text}: {failure}");
        }
    }

    #[test]
    fn loss_is_a_share_or_none() {
        assert_eq!(
            ["10%", "0%", "0", "0.5%", "100%"].map(parse_loss),
            [Ok(100_000), Ok(0), Ok(0), Ok(5_000), Ok(1_000_000)]
        );
        for wrong in ["10", "101%", "-1%", "x", "", "%"] {
            assert!(parse_loss(wrong).is_err(), "{wrong}");
        }
    }
}
