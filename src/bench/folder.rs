//! The folder of a round: the file of a cluster and the journals of its members, the keys of groups, or the logs of a
//! sequencer. It is removed at the end of the round.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::part::Role;
use crate::cluster::file::on_loopback;
use crate::driver::clock::shared_micros;
use crate::exit::{Exit, Failure};
use crate::keys;
use crate::processes::Ports;

/// The group of all clusters of benchmarks. Each has a port of its own.
const GROUP: Ipv4Addr = Ipv4Addr::new(239, 192, 7, 9);

/// The folder of a cluster, of the keys of groups, or of logs.
pub(super) struct Folder {
    path: PathBuf,
    /// Keep other runs from taking the ports.
    _ports: Vec<Ports>,
}

impl Folder {
    /// Makes the folder of a cluster of so many members, inside of another one. They use no IP multicast, and have a key,
    /// or not. Returns the role of a member, too.
    ///
    /// # Errors
    /// [`Exit::CannotCreate`], or [`Exit::Unavailable`] if there are no free ports.
    pub(super) fn of_cluster(
        within: &Path,
        members: u16,
        (unicast, has_key): (bool, bool),
    ) -> Result<(Self, Role)> {
        let (ports, numbers) = Ports::free_for_datagrams(usize::from(members) + 1)?;
        let folder = Self { path: path(within), _ports: ports };
        let (data, file) = (folder.path.clone(), folder.path.join("cluster.toml"));
        let ids: Vec<String> = (1..=members).map(|member| format!("c{member}")).collect();
        let group = (!unicast).then(|| SocketAddr::new(GROUP.into(), numbers[usize::from(members)]));
        let text = on_loopback("bench", group, ids.iter().map(String::as_str).zip(numbers));
        fs::create_dir_all(&folder.path).and_then(|()| fs::write(&file, text)).with_context(|| {
            Failure::new(Exit::CannotCreate, format!("cannot fill {}", folder.path.display()))
        })?;
        let keys = has_key.then(|| folder.path.join("cluster.key_secret"));
        keys.as_ref().map_or(Ok(()), |file| keys::cluster::make(file).map(drop))?;
        Ok((folder, Role::Cluster { file, data, unicast, keys }))
    }

    /// Makes a folder with the keys of these clients and of a sequencer, inside of another one.
    ///
    /// # Errors
    /// [`Exit::CannotCreate`]; [`Exit::Config`] if ZeroMQ has no CURVE.
    pub(super) fn of_keys<'a>(within: &Path, clients: impl Iterator<Item = &'a str>) -> Result<Self> {
        let folder = Self { path: path(within), _ports: Vec::new() };
        let clients = clients.map(|id| (id, keys::Role::Client));
        keys::make_all(&folder.path, clients.chain([("sequencer", keys::Role::Sequencer)]))?;
        Ok(folder)
    }

    /// Makes a folder for the logs of a sequencer, inside of another one.
    ///
    /// # Errors
    /// [`Exit::CannotCreate`].
    pub(super) fn of_logs(within: &Path) -> Result<Self> {
        let folder = Self { path: path(within), _ports: Vec::new() };
        fs::create_dir_all(&folder.path).with_context(|| {
            Failure::new(Exit::CannotCreate, format!("cannot create {}", folder.path.display()))
        })?;
        Ok(folder)
    }

    /// Returns its path.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

/// Returns the path of a new folder.
fn path(within: &Path) -> PathBuf {
    within.join(format!("groupcast-bench-{}-{}", std::process::id(), shared_micros()))
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}
