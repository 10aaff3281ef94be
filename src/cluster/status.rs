//! The status of a member of a cluster: a file in the folder of its journal, written once a second, so that
//! `groupcast cluster status` needs no way into the cluster.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::node::Node;
use crate::ids::{MemberId, Time};
use crate::talk::Talk;

/// The silence after which a member counts as not reachable.
pub const UNREACHABLE_AFTER: Duration = Duration::from_secs(10);
/// The name of the file.
const FILE: &str = "status.json";

/// The status of one member.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Status {
    /// The version of the format.
    pub v: u64,
    /// The id of the member.
    pub id: String,
    /// The cluster.
    pub cluster: String,
    /// The life of the member.
    pub life: u32,
    /// The number of the epoch, and its members.
    #[serde(default = "first_epoch")]
    pub epoch: u16,
    /// The ids of the members of the epoch.
    #[serde(default)]
    pub members: Vec<String>,
    /// The number of confirmed messages.
    pub confirmed: u64,
    /// The number of entries that are shown and not confirmed.
    pub tentative: u64,
    /// The bytes of the records in the journal.
    pub journal_bytes: u64,
    /// The members for which the first tentative entry waits.
    pub waits_for: Vec<String>,
    /// The other members.
    pub others: Vec<Other>,
    /// The number of datagrams that it has dropped because they had another key, or none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub other_keys: u64,
    /// Whether the member knows that everything is confirmed everywhere, and that nothing more comes.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub settled: bool,
    /// The reason of the end, once the member has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end: Option<String>,
}

/// The status of another member, as this one sees it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Other {
    /// The id of the member.
    pub id: String,
    /// The time since its last datagram, in milliseconds; absent if it was not heard in this life.
    pub heard_ms: Option<u64>,
    /// The number of entries of this member that it is known to lack.
    pub lacks: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde wants a reference")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// The epoch of a status that names none.
const fn first_epoch() -> u16 {
    1
}

impl Status {
    /// Returns the status of the member of `node`.
    #[must_use]
    pub fn of(node: &Node, cluster: &str, life: u32, now: Time) -> Self {
        let (replica, me) = (node.replica(), node.me());
        let slots = (0..node.names().len() as u16).map(MemberId);
        let members = slots.filter(|&member| replica.is_member(member));
        let others = members.clone().filter(|&member| member != me);
        let other = |member| Other {
            id: node.name(member).to_owned(),
            heard_ms: replica.heard(member).map(|at| now.since(at).as_millis() as u64),
            lacks: replica.entries_of(me).saturating_sub(replica.has_stored(member, me)),
        };
        Self {
            v: 1,
            id: node.name(me).to_owned(),
            cluster: cluster.to_owned(),
            life,
            epoch: replica.epoch(),
            members: members.map(|member| node.name(member).to_owned()).collect(),
            confirmed: replica.confirmed().count,
            tentative: replica.tentative() as u64,
            journal_bytes: node.journal_size(),
            waits_for: replica.waits_for().into_iter().map(|member| node.name(member).to_owned()).collect(),
            others: others.map(other).collect(),
            other_keys: node.counts().other_keys,
            settled: replica.is_settled(),
            end: None,
        }
    }

    /// Returns the status with the reason of the end.
    #[must_use]
    pub fn ended(self, reason: Option<&str>) -> Self {
        Self { end: reason.map(str::to_owned), ..self }
    }

    /// Writes the status as [`Self::write`] does. A folder that is full is the journal's matter, and only a detail here.
    pub fn tell(&self, data: &Path, talk: &Talk) {
        if let Err(error) = self.write(data) {
            talk.detail(format!("cannot write the status: {error}"));
        }
    }

    /// Writes the status into the folder of a journal. A reader finds the old one or the new one, never a part.
    ///
    /// # Errors
    /// That of the system.
    pub fn write(&self, data: &Path) -> io::Result<()> {
        let part = data.join("status.json.part");
        fs::write(&part, serde_json::to_vec(self)?)?;
        fs::rename(part, data.join(FILE))
    }
}

/// Returns whether the status in a folder is of the life before `life`, and says that the member had settled: it knew that
/// everything was confirmed everywhere. A status that is missing or malformed says nothing.
#[must_use]
pub fn had_settled(data: &Path, life: u32) -> bool {
    let status =
        fs::read(data.join(FILE)).ok().and_then(|bytes| serde_json::from_slice::<Status>(&bytes).ok());
    status.is_some_and(|status| status.settled && status.life.checked_add(1) == Some(life))
}

/// Returns the files with the status of members in a folder, in its folders, and in those of its folder `data`, sorted.
///
/// # Errors
/// That of the system, if the folder cannot be read.
pub(crate) fn files(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for place in [dir.to_owned(), dir.join("data")] {
        let entries = match fs::read_dir(&place) {
            Err(error) if place == dir => return Err(error),
            entries => entries.into_iter().flatten().flatten(),
        };
        let folders = entries.map(|entry| entry.path()).filter(|path| path.is_dir());
        found.extend([place.join(FILE)].into_iter().chain(folders.map(|path| path.join(FILE))));
    }
    found.retain(|path| path.is_file());
    found.sort();
    found.dedup();
    Ok(found)
}
