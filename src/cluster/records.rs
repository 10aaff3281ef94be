//! The records that a member finds in its journal: whether a life can begin with them.
//!
//! None begins with a damaged journal, with an old copy, or with that of a member which was added under another id or
//! address than the cluster file has.

use std::path::Path;

use bytes::Bytes;

use super::file::Cluster;
use crate::exit::{Exit, Failure};
use crate::ids::MemberId;
use crate::replica::entry::EntryId;
use crate::replica::epoch::Change;
use crate::replica::record::{Old, Record};

/// Returns the records of a journal with which the next life of the member `me` begins.
///
/// # Errors
/// [`Exit::BadData`] if the journal is damaged or an old copy; [`Exit::Config`] as [`check_own`].
pub(super) fn of_life(
    records: &[(u64, Bytes)],
    data: &Path,
    cluster: &Cluster,
    me: MemberId,
) -> Result<Vec<(u64, Record)>, Failure> {
    let records = parse(records, data)?;
    let mut names = cluster.ids();
    for (_, record) in &records {
        match record {
            Record::Change(_, change) => {
                check_own(change, cluster, me)?;
                if let Some((slot, name, _)) = change.added() {
                    names.resize(names.len().max(usize::from(slot.0) + 1), String::new());
                    names[usize::from(slot.0)] = name.to_owned();
                }
            }
            Record::Old(old) => return Err(is_old(*old, &names, me)),
            _ => {}
        }
    }
    Ok(records)
}

/// Refuses a change that adds this member under another id or address than the cluster file has.
///
/// # Errors
/// [`Exit::Config`].
pub(super) fn check_own(change: &Change, cluster: &Cluster, me: MemberId) -> Result<(), Failure> {
    let Some(own) = cluster.all().nth(usize::from(me.0)) else { return Ok(()) };
    match change.added() {
        Some((slot, name, udp)) if slot == me && (name != own.id || udp != own.udp) => {
            let why = format!(
                "cannot start {} at {}: the cluster has added {name} at {udp} in its place",
                own.id, own.udp
            );
            Err(Failure::new(Exit::Config, why).help(
                "write the id and the address that were given to `groupcast cluster add`, and the servers in the order \
                 in which they were added",
            ))
        }
        _ => Ok(()),
    }
}

/// Returns the failure of the member `me` whose journal is an old copy.
pub(super) fn is_old(old: Old, names: &[String], me: MemberId) -> Failure {
    // A journal that was found old before its member had learned of another one knows no name of it.
    let name = |slot: MemberId| names.get(usize::from(slot.0)).map_or("a later member", String::as_str);
    let me = name(me);
    match old {
        Old::Forked(EntryId { number, .. }) => {
            let why =
                format!("the journal is not the one that {me} had: others have another entry {number} of it");
            Failure::new(Exit::BadData, why)
                .help("was it restored from a backup, or used by two processes? Bring back the last one")
        }
        Old::Lacks(EntryId { origin, number }) => {
            let why = format!(
                "the journal is not the one that {me} had: it lacks entry {number} of {}, which all others have \
                 forgotten, because {me} had stored it",
                name(origin)
            );
            let help = format!(
                "was its folder lost, or restored from a backup? Bring back the last one. If there is none, give its \
                 place to a new member: `groupcast cluster remove DIR {me}` and `groupcast cluster add DIR ID \
                 HOST:PORT`, where DIR is the folder of a member that runs"
            );
            Failure::new(Exit::BadData, why).help(help)
        }
    }
}

fn parse(records: &[(u64, Bytes)], data: &Path) -> Result<Vec<(u64, Record)>, Failure> {
    let record = |(index, bytes): &(u64, Bytes)| match Record::parse(bytes.clone()) {
        Ok(record) => Ok((*index, record)),
        Err(_) => Err(damaged(data, *index, "no record of this program")),
    };
    records.iter().map(record).collect()
}

/// Returns the failure of a journal whose record `index` cannot be.
pub(super) fn damaged(data: &Path, index: u64, reason: &str) -> Failure {
    let message = format!("the journal in {} is damaged: record {index} is {reason}", data.display());
    Failure::new(Exit::BadData, message).help("`groupcast journal check` says more")
}
