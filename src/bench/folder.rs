//! The folder of a cluster in a round: its file and the journals of its members. It is removed at the end of the round.

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

/// The folder of a cluster.
pub(super) struct Folder {
    path: PathBuf,
    is_unicast: bool,
    has_key: bool,
    /// Keep other runs from taking the ports.
    _ports: Vec<Ports>,
}

impl Folder {
    /// Makes the folder of a cluster of so many members, inside of another one. They use no IP multicast, and have a key,
    /// or not.
    ///
    /// # Errors
    /// [`Exit::CannotCreate`], or [`Exit::Unavailable`] if there are no free ports.
    pub(super) fn create(within: &Path, members: u16, (is_unicast, has_key): (bool, bool)) -> Result<Self> {
        let path = within.join(format!("groupcast-bench-{}-{}", std::process::id(), shared_micros()));
        let (ports, numbers) = Ports::free_for_datagrams(usize::from(members) + 1)?;
        let folder = Self { path, is_unicast, has_key, _ports: ports };
        let ids: Vec<String> = (1..=members).map(|member| format!("c{member}")).collect();
        let group = (!is_unicast).then(|| SocketAddr::new(GROUP.into(), numbers[usize::from(members)]));
        let text = on_loopback("bench", group, ids.iter().map(String::as_str).zip(numbers));
        fs::create_dir_all(&folder.path).and_then(|()| fs::write(folder.file(), text)).with_context(
            || Failure::new(Exit::CannotCreate, format!("cannot fill {}", folder.path.display())),
        )?;
        folder.key().map_or(Ok(()), |file| keys::cluster::make(&file).map(drop))?;
        Ok(folder)
    }

    fn file(&self) -> PathBuf {
        self.path.join("cluster.toml")
    }

    fn key(&self) -> Option<PathBuf> {
        self.has_key.then(|| self.path.join("cluster.key_secret"))
    }

    /// Returns the role of a member.
    pub(super) fn role(&self) -> Role {
        let (data, unicast) = (self.path.clone(), self.is_unicast);
        Role::Cluster { file: self.file(), data, unicast, keys: self.key() }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}
