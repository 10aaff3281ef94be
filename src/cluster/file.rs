//! The cluster file: the members of a cluster and their addresses, the same at every member.
//!
//! It is TOML, or a list of one address a line: `HOST:PORT` or `HOST PORT`, with blank lines and comments skipped. The
//! members of a list are `s1`, `s2`, … in the order of the lines.
//!
//! ```toml
//! name = "chat"
//! mtu = 1200                        # optional: the longest IP packet between the servers
//! multicast = "239.192.7.7:5600"    # optional; without it, each server is sent a datagram of its own
//! interface = "eth0"                # optional: for multicast; otherwise the one with the server's own address
//! ttl = 1                           # optional: the number of networks that multicasts pass
//! [[server]]
//! id = "s1"
//! udp = "10.0.0.1:5600"
//! web = "10.0.0.1:8080"             # optional
//! added = true                      # of a server that was added to the running cluster: behind the others
//! ```

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::fs::File;
use std::io::{self, Read};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_64;

use super::draft::{self, Draft, Host, Listed};
use crate::cli::Access;
use crate::exit::{Exit, Failure};
use crate::ids::MemberId;
use crate::keys;
use crate::place::{Flaw, Source, shown, without_mark};
use crate::talk;
use crate::transport::resolve::look_up_within;
use crate::transport::signals::Signals;
use crate::transport::udp::{Group, Settings};
use crate::wire::datagram::Head;
use crate::wire::sealed::Key;

pub use super::draft::DEFAULT_MTU;

/// Most bytes of a cluster file.
const MOST_BYTES: u64 = 1 << 16;
/// Longest wait for the address of one name.
const LOOK_UP_LIMIT: Duration = Duration::from_secs(10);
/// The number of the list of members: the file's own is the first.
const EPOCH: u16 = 1;

/// A cluster: its members by slot, and the way between them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Cluster {
    /// The name.
    pub name: String,
    /// The length of the longest IP packet between the servers, in bytes.
    pub mtu: usize,
    /// The group and the port of IP multicast.
    pub multicast: Option<SocketAddr>,
    /// The network interface of multicasts; otherwise the one with the server's own address.
    pub interface: Option<String>,
    /// The number of networks that multicasts pass; otherwise 1, or 0 on loopback.
    pub ttl: Option<u32>,
    /// The servers of the beginning. All addresses are of one family, that of `multicast`.
    pub servers: Vec<Server>,
    /// The servers that were added to the running cluster, by slot.
    pub added: Vec<Server>,
    number: u64,
}

/// A server of a cluster.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Server {
    /// The id of the member.
    pub id: String,
    /// The address of its datagrams, which is also that of their sender.
    pub udp: SocketAddr,
    /// The host and the port of its web pages.
    pub web: Option<String>,
}

impl Cluster {
    /// Reads a cluster file and looks up the names in it. A signal ends that.
    ///
    /// # Errors
    /// [`Exit::NoInput`] if the file cannot be read, [`Exit::BadData`] with the place of the first mistake,
    /// [`Exit::Unavailable`] if a name is not found, and interruption.
    pub fn read(path: &Path, signals: Option<&Signals>) -> Result<Self, Failure> {
        let name = shown(path.as_os_str().as_encoded_bytes());
        let text = read_file(path)
            .map_err(|reason| Failure::new(Exit::NoInput, format!("cannot read {name}: {reason}")))?;
        let source = Source { name, text: without_mark(text) };
        Self::parse(&source, |name| look_up_within(name, signals, LOOK_UP_LIMIT))
    }

    /// Parses a cluster file; `look_up` returns the addresses of a name.
    pub(crate) fn parse(
        source: &Source,
        mut look_up: impl FnMut(&str) -> Result<Vec<IpAddr>, Failure>,
    ) -> Result<Self, Failure> {
        let draft = draft::parse(&source.text).map_err(|flaw| source.failure(flaw))?;
        let mut found = Vec::new();
        for server in &draft.servers {
            found.push(match &server.udp.host {
                Host::Ip(ip) => vec![*ip],
                Host::Name(name) => look_up(name)?.iter().map(IpAddr::to_canonical).collect(),
            });
        }
        assemble(draft, &found).map_err(|flaw| source.failure(flaw))
    }

    /// Returns the number of the cluster, which every datagram and journal of it carries: 48 bits. Clusters of other
    /// names, ids or addresses have other numbers.
    #[must_use]
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// Returns the slot of the member with this id.
    #[must_use]
    pub fn slot(&self, id: &str) -> Option<MemberId> {
        let at = self.all().position(|server| server.id == id)?;
        u16::try_from(at).ok().map(MemberId)
    }

    /// Returns the slot of the member with this id.
    ///
    /// # Errors
    /// Exit 78 if there is none.
    pub fn member(&self, id: &str, path: &Path) -> Result<MemberId, Failure> {
        self.slot(id).ok_or_else(|| {
            let why = format!("{id} is not a member of the cluster in {}", path.display());
            Failure::new(Exit::Config, why).help(format!("its members are {}", talk::list(&self.ids())))
        })
    }

    /// Returns all servers by slot.
    pub fn all(&self) -> impl Iterator<Item = &Server> {
        self.servers.iter().chain(&self.added)
    }

    /// Returns the ids by slot.
    #[must_use]
    pub fn ids(&self) -> Vec<String> {
        self.all().map(|server| server.id.clone()).collect()
    }

    /// Returns the servers that a member knows by the file: those of the beginning; a member that was added knows also
    /// those that were added before.
    pub fn known_to(&self, own: MemberId) -> impl Iterator<Item = &Server> {
        self.all().take(self.servers.len().max(usize::from(own.0) + 1))
    }

    /// Returns the length of the longest datagram, in bytes: what the MTU leaves beside the headers of IP and UDP.
    #[must_use]
    pub fn size(&self) -> usize {
        let is_ipv4 = self.servers.first().is_none_or(|server| server.udp.is_ipv4());
        self.mtu.saturating_sub(if is_ipv4 { 20 + 8 } else { 40 + 8 })
    }

    /// Returns the key that a member was given; none on one machine, or if the user does without.
    ///
    /// # Errors
    /// [`Exit::Config`] if a member is beyond this machine, and there is neither key nor consent, or if others can read the
    /// key; [`Exit::NoInput`] or [`Exit::BadData`] if it cannot be read.
    pub(crate) fn key(&self, access: &Access) -> Result<Option<Key>, Failure> {
        keys::cluster::of_member(access, self.all().map(|server| server.udp))
    }

    /// Returns the settings of the socket of one member; it has no key, and uses no IP multicast if `is_unicast`. They have the servers
    /// of the beginning, and those up to the member.
    #[must_use]
    pub fn udp(&self, own: MemberId, is_unicast: bool) -> Settings {
        let group = |address| Group { address, interface: self.interface.clone(), ttl: self.ttl };
        Settings {
            head: Head { cluster: self.number, epoch: EPOCH, sender: own },
            servers: self.known_to(own).map(|server| server.udp).collect(),
            size: self.size(),
            group: self.multicast.filter(|_| !is_unicast).map(group),
            key: None,
        }
    }
}

/// Reads a file up to one byte more than it may have.
fn read_file(path: &Path) -> io::Result<Bytes> {
    let mut text = Vec::new();
    File::open(path)?.take(MOST_BYTES + 1).read_to_end(&mut text)?;
    if text.len() as u64 > MOST_BYTES {
        return Err(io::Error::other(format!("it has more than {MOST_BYTES} bytes, as no cluster file has")));
    }
    Ok(text.into())
}

/// Returns the cluster of a file, with the addresses that were found for each server.
fn assemble(draft: Draft, found: &[Vec<IpAddr>]) -> Result<Cluster, Flaw> {
    let number = number(&draft);
    let is_ipv4 = match (&draft.multicast, found.iter().find(|found| found.len() == 1)) {
        (Some(group), _) => group.get_ref().is_ipv4(),
        (None, Some(only)) => only[0].is_ipv4(),
        (None, None) => found.iter().all(|found| found.iter().any(IpAddr::is_ipv4)),
    };
    let mut servers: Vec<Server> = Vec::new();
    for (listed, found) in draft.servers.iter().zip(found) {
        let udp = SocketAddr::new(choose(listed, found, is_ipv4)?, listed.udp.port);
        if let Some(other) = servers.iter().find(|other| other.udp == udp) {
            let message = format!("{udp} is the address of two servers: {} and {}", other.id, listed.id);
            return Err(Flaw::new(listed.span.clone(), message));
        }
        servers.push(Server {
            id: listed.id.clone(),
            udp,
            web: listed.web.as_ref().map(ToString::to_string),
        });
    }
    check_loopback(&draft.servers, &servers)?;
    let first = draft.servers.iter().filter(|server| !server.added).count();
    let Draft { name, mtu, multicast, interface, ttl, .. } = draft;
    let multicast = multicast.map(toml::Spanned::into_inner);
    let added = servers.split_off(first);
    Ok(Cluster { name, mtu, multicast, interface, ttl, servers, added, number })
}

/// Returns the address of a server: the only one of the cluster's family.
fn choose(listed: &Listed, found: &[IpAddr], is_ipv4: bool) -> Result<IpAddr, Flaw> {
    let of_family: Vec<IpAddr> = found.iter().copied().filter(|ip| ip.is_ipv4() == is_ipv4).collect();
    let flaw = |message| Flaw::new(listed.span.clone(), message);
    let address = &listed.udp;
    match of_family[..] {
        [ip] => match objection(ip) {
            Some(objection) => Err(flaw(format!("{ip} {objection}"))),
            None => Ok(ip),
        },
        [] => {
            let family = if is_ipv4 { "IPv4" } else { "IPv6" };
            let message = format!("{address} is no {family} address, as the others of this file are");
            Err(flaw(message).help("all servers and the group of multicast have addresses of one family"))
        }
        _ => {
            let all: Vec<String> = of_family.iter().map(IpAddr::to_string).collect();
            let message = format!("{address} has {} addresses: {}", all.len(), all.join(", "));
            Err(flaw(message).help("write the address that the server is to send from"))
        }
    }
}

/// Returns the reason why no server can have an address.
fn objection(ip: IpAddr) -> Option<&'static str> {
    let is_link_local = matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local());
    let is_broadcast = matches!(ip, IpAddr::V4(ip) if ip.is_broadcast());
    if ip.is_unspecified() {
        Some("is every address of a machine: write the one that the others are to send to")
    } else if ip.is_multicast() || is_broadcast {
        Some("is the address of no single server")
    } else if is_link_local {
        Some("means something else on each network interface: write an address without that, like fd00::1")
    } else {
        None
    }
}

/// Returns the reason why a server with the address `udp` cannot be beside one with the address `other`.
#[must_use]
pub fn objection_beside(udp: SocketAddr, other: SocketAddr) -> Option<String> {
    let ip = udp.ip();
    if udp.port() == 0 {
        Some(format!("{udp} has no port"))
    } else if let Some(objection) = objection(ip) {
        Some(format!("{ip} {objection}"))
    } else if udp.is_ipv4() != other.is_ipv4() || ip.is_loopback() != other.ip().is_loopback() {
        Some(format!("{udp} cannot be reached from {other}"))
    } else {
        None
    }
}

/// Refuses a server on loopback among servers that are not.
fn check_loopback(listed: &[Listed], servers: &[Server]) -> Result<(), Flaw> {
    let is_on_loopback = |server: &Server| server.udp.ip().is_loopback();
    let Some(elsewhere) = servers.iter().find(|server| !is_on_loopback(server)) else { return Ok(()) };
    let Some(at) = servers.iter().position(is_on_loopback) else { return Ok(()) };
    let message = format!("{} cannot be reached from {}", servers[at].udp, elsewhere.udp);
    Err(Flaw::new(listed[at].span.clone(), message).help(
        "127.0.0.1 and ::1 are for clusters on one machine; the name of a machine may stand for them, too",
    ))
}

/// Returns the number of a cluster: the low 48 bits of the XXH3 hash of its name, ids and addresses as PROTOCOL.md says.
fn number(draft: &Draft) -> u64 {
    let servers = draft.servers.iter().filter(|server| !server.added);
    let servers = servers.map(|server| format!("{} {}\n", server.id, server.udp));
    let text: String = std::iter::once(format!("{}\n", draft.name)).chain(servers).collect();
    xxh3_64(text.as_bytes()) & ((1 << 48) - 1)
}

/// As a file in TOML, with addresses for names.
impl fmt::Display for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "name = \"{}\"\nmtu = {}", self.name, self.mtu)?;
        let optional = BTreeMap::from([
            ("multicast", self.multicast.map(|group| format!("\"{group}\""))),
            ("interface", self.interface.as_ref().map(|name| format!("\"{name}\""))),
            ("ttl", self.ttl.map(|ttl| ttl.to_string())),
        ]);
        for (key, value) in optional {
            if let Some(value) = value {
                writeln!(f, "{key} = {value}")?;
            }
        }
        for (slot, Server { id, udp, web }) in self.all().enumerate() {
            writeln!(f, "[[server]]\nid = \"{id}\"\nudp = \"{udp}\"")?;
            if slot >= self.servers.len() {
                writeln!(f, "added = true")?;
            }
            if let Some(web) = web {
                writeln!(f, "web = \"{web}\"")?;
            }
        }
        Ok(())
    }
}

/// Returns the text of the file of a cluster whose servers are all on this machine, each at its UDP port of 127.0.0.1.
pub(crate) fn on_loopback<'a>(
    name: &str,
    multicast: Option<SocketAddr>,
    servers: impl Iterator<Item = (&'a str, u16)>,
) -> String {
    let group = multicast.map(|group| format!("multicast = \"{group}\"\n"));
    let mut text = format!("name = \"{name}\"\n{}", group.unwrap_or_default());
    for (id, port) in servers {
        let _ = write!(text, "\n[[server]]\nid = \"{id}\"\nudp = \"127.0.0.1:{port}\"\n");
    }
    text
}
