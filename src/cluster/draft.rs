//! A cluster file as it is written, in either of its forms: names are not looked up, and places of mistakes are known.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::{Range, RangeInclusive};

use serde::Deserialize;
use toml::Spanned;

use crate::nearest::toml_flaw;
use crate::place::{Flaw, quoted, text_of};
use crate::replica::entry::MOST_MEMBERS;
use crate::script::check_id;

/// The MTUs that a cluster can have, in bytes: from the packet that every IPv4 network carries to a jumbo frame.
pub(super) const MTU: RangeInclusive<i64> = 576..=9000;
/// The MTU of a cluster whose file names none. Also a network inside of tunnels carries it.
pub const DEFAULT_MTU: usize = 1200;
/// The name of a cluster whose file is a list of addresses.
const NAME: &str = "cluster";
/// Longest name of a network interface.
const MAX_INTERFACE: usize = 15;

/// A cluster file.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) name: String,
    pub(super) mtu: usize,
    pub(super) multicast: Option<Spanned<SocketAddr>>,
    pub(super) interface: Option<String>,
    pub(super) ttl: Option<u32>,
    pub(super) servers: Vec<Listed>,
}

/// A server of a cluster file.
#[derive(Debug)]
pub(super) struct Listed {
    pub(super) id: String,
    pub(super) udp: Address,
    pub(super) web: Option<Address>,
    /// It was added to the running cluster, and is not in the first list.
    pub(super) added: bool,
    /// The place of the address in the file.
    pub(super) span: Range<usize>,
}

/// An address with a port.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Address {
    pub(super) host: Host,
    pub(super) port: u16,
}

/// The host of an address.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Host {
    /// An IP address.
    Ip(IpAddr),
    /// A name in lower case, which has to be looked up.
    Name(String),
}

/// The keys of a file in TOML.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    name: Option<Spanned<String>>,
    mtu: Option<Spanned<i64>>,
    multicast: Option<Spanned<String>>,
    interface: Option<Spanned<String>>,
    ttl: Option<Spanned<i64>>,
    #[serde(default)]
    server: Vec<ServerKeys>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ServerKeys {
    id: Spanned<String>,
    udp: Spanned<String>,
    web: Option<Spanned<String>>,
    #[serde(default)]
    added: bool,
}

/// Parses a cluster file.
///
/// # Errors
/// The first mistake.
pub(super) fn parse(file: &[u8]) -> Result<Draft, Flaw> {
    let text = text_of(file)?;
    let draft = if is_toml(text) { from_toml(text) } else { from_list(text) }?;
    if let Some(at) = draft.servers.windows(2).position(|pair| pair[0].added && !pair[1].added) {
        let message = "this server stands behind one that was added to the running cluster";
        return Err(Flaw::new(draft.servers[at + 1].span.clone(), message)
            .help("those of the beginning come first: the order gives each its slot"));
    }
    if draft.servers.first().is_none_or(|first| first.added) {
        return Err(Flaw::new(text.len()..text.len(), "the file names no server").help(FORMS));
    }
    if let Some(server) = draft.servers.get(MOST_MEMBERS) {
        return Err(Flaw::new(server.span.clone(), format!("a cluster has at most {MOST_MEMBERS} servers")));
    }
    Ok(draft)
}

/// The two forms.
const FORMS: &str = "write a [[server]] with id and udp for each, or one address a line, as 10.0.0.1:5600";

/// Returns whether the file is TOML, and not a list of addresses.
fn is_toml(text: &str) -> bool {
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    let first = lines.into_iter().find(|line| !line.is_empty()).unwrap_or_default();
    // An IPv6 address begins with a bracket, too.
    first.contains('=') || first.starts_with("[[") || (first.starts_with('[') && !first.contains(':'))
}

fn from_toml(text: &str) -> Result<Draft, Flaw> {
    let keys: Keys = toml::from_str(text).map_err(|error| toml_flaw(&error, text))?;
    let Some(name) = keys.name else {
        return Err(Flaw::new(0..0, "the cluster has no name").help("write one at the top: name = \"chat\""));
    };
    let mtu = keys.mtu.map(|mtu| number(&mtu, MTU)).transpose()?;
    let ttl = keys.ttl.map(|ttl| number(&ttl, 0..=255)).transpose()?;
    let mut servers: Vec<Listed> = Vec::new();
    for server in keys.server {
        let id = checked(&server.id, check_id)?;
        if servers.iter().any(|other| other.id == id) {
            return Err(Flaw::new(server.id.span(), format!("`{id}` is the id of two servers")));
        }
        let (span, udp) = (server.udp.span(), read(&server.udp, Address::parse)?);
        let web = server.web.map(|web| read(&web, Address::parse)).transpose()?;
        servers.push(Listed { id, udp, web, added: server.added, span });
    }
    Ok(Draft {
        name: checked(&name, check_id)?,
        mtu: mtu.map_or(DEFAULT_MTU, |mtu| mtu as usize),
        multicast: keys.multicast.map(|group| read_spanned(&group, parse_group)).transpose()?,
        interface: keys.interface.map(|name| checked(&name, check_interface)).transpose()?,
        ttl: ttl.map(|ttl| ttl as u32),
        servers,
    })
}

fn number(value: &Spanned<i64>, range: RangeInclusive<i64>) -> Result<i64, Flaw> {
    if range.contains(value.get_ref()) {
        return Ok(*value.get_ref());
    }
    let expected = format!("expected a number from {} to {}", range.start(), range.end());
    Err(Flaw::new(value.span(), expected))
}

fn read<T>(value: &Spanned<String>, parse: impl FnOnce(&str) -> Result<T, String>) -> Result<T, Flaw> {
    parse(value.get_ref()).map_err(|reason| Flaw::new(value.span(), reason))
}

fn read_spanned<T: Clone>(
    value: &Spanned<String>,
    parse: impl FnOnce(&str) -> Result<T, String>,
) -> Result<Spanned<T>, Flaw> {
    Ok(Spanned::new(value.span(), read(value, parse)?))
}

fn checked(value: &Spanned<String>, check: impl FnOnce(&str) -> Result<(), String>) -> Result<String, Flaw> {
    read(value, |text| check(text).map(|()| text.to_owned()))
}

fn check_interface(name: &str) -> Result<(), String> {
    let is_allowed = |letter: char| letter.is_ascii_alphanumeric() || "-_.@:".contains(letter);
    if (1..=MAX_INTERFACE).contains(&name.len()) && name.chars().all(is_allowed) {
        return Ok(());
    }
    Err("expected the name of a network interface, like eth0".to_owned())
}

fn parse_group(text: &str) -> Result<SocketAddr, String> {
    match Address::parse(text)? {
        Address { host: Host::Ip(ip), port } if ip.is_multicast() => Ok(SocketAddr::new(ip, port)),
        _ => Err(format!(
            "{} is no group: expected ADDRESS:PORT, like 239.192.7.7:5600",
            quoted(text.as_bytes())
        )),
    }
}

/// Parses one address a line.
fn from_list(text: &str) -> Result<Draft, Flaw> {
    let mut servers = Vec::new();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let content = line.split('#').next().unwrap_or_default();
        // A line of an added server begins with a plus.
        let added = content.trim_start().starts_with('+');
        let content = if added { content.replacen('+', " ", 1) } else { content.to_owned() };
        if let Some((udp, span)) = from_line(&content).map_err(|flaw| flaw.moved(start))? {
            let id = format!("s{}", servers.len() + 1);
            let span = span.start + start..span.end + start;
            servers.push(Listed { id, udp, web: None, added, span });
        }
        start += line.len();
    }
    Ok(Draft {
        name: NAME.to_owned(),
        mtu: DEFAULT_MTU,
        multicast: None,
        interface: None,
        ttl: None,
        servers,
    })
}

/// Parses a line of a list; none if there is nothing on it.
fn from_line(line: &str) -> Result<Option<(Address, Range<usize>)>, Flaw> {
    let start_of = |word: &str| word.as_ptr().addr() - line.as_ptr().addr();
    let words: Vec<&str> = line.split_whitespace().collect();
    let [first, .., last] = words[..] else {
        return match words[..] {
            [word] => at(start_of(word)..start_of(word) + word.len(), Address::parse(word)),
            _ => Ok(None),
        };
    };
    let span = start_of(first)..start_of(last) + last.len();
    match words[..] {
        [host, port] => at(span, Address::of(host, port)),
        _ => Err(Flaw::new(start_of(words[2])..span.end, "expected nothing behind HOST PORT")),
    }
}

fn at(span: Range<usize>, address: Result<Address, String>) -> Result<Option<(Address, Range<usize>)>, Flaw> {
    match address {
        Ok(address) => Ok(Some((address, span))),
        Err(reason) => Err(Flaw::new(span, reason)),
    }
}

impl Address {
    /// Parses `HOST:PORT`, an IPv6 address in brackets.
    fn parse(text: &str) -> Result<Self, String> {
        match text.rsplit_once(':') {
            Some((host, port)) if !text.ends_with(']') => Self::of(host, port),
            _ => Err(format!("{} has no port: expected HOST:PORT", quoted(text.as_bytes()))),
        }
    }

    fn of(host: &str, port: &str) -> Result<Self, String> {
        let is_number = port.bytes().all(|byte| byte.is_ascii_digit());
        match port.parse() {
            Ok(port @ 1..) if is_number => Ok(Self { host: Host::parse(host)?, port }),
            _ => Err(format!("{} is no port: expected a number from 1 to 65535", quoted(port.as_bytes()))),
        }
    }
}

impl Host {
    fn parse(text: &str) -> Result<Self, String> {
        if let Some(inside) = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
            return match inside.parse::<Ipv6Addr>() {
                Ok(ip) => Ok(Self::Ip(IpAddr::from(ip).to_canonical())),
                Err(_) => Err(format!("{} is no IPv6 address", quoted(inside.as_bytes()))),
            };
        }
        if let Ok(ip) = text.parse::<Ipv4Addr>() {
            return Ok(Self::Ip(ip.into()));
        }
        if text.contains(':') {
            let help = "an IPv6 address stands in brackets, like [fd00::1]:5600";
            return Err(format!("{} is no host: {help}", quoted(text.as_bytes())));
        }
        let is_letter = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
        // Not a number with too few or too large parts, which a lookup might take for an address.
        let is_name = text.bytes().any(|byte| byte.is_ascii_alphabetic()) && text.chars().all(is_letter);
        if is_name && text.len() <= 253 {
            return Ok(Self::Name(text.to_ascii_lowercase()));
        }
        Err(format!("{} is no host: expected an IP address or a name", quoted(text.as_bytes())))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Ip(ip) => write!(f, "{}", SocketAddr::new(*ip, self.port)),
            Host::Name(name) => write!(f, "{name}:{}", self.port),
        }
    }
}
