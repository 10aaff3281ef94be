//! The addresses of forwarders and routers: the parser for command lines, the ports, and the sites.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::exit::{Exit, Failure};

/// The prefix of a host that is a path on this machine.
const IPC: &str = "ipc://";
/// The highest first port that leaves room for the other three.
pub const MAX_PORT_BASE: u16 = 65532;
/// Most forwarders that one process may be told of.
const MAX_SITES: usize = 8;

/// The three TCP ports of a forwarder and the one of a router.
#[derive(Clone, Copy, Debug)]
pub enum Port {
    /// Members publish here.
    In,
    /// Members subscribe here.
    Out,
    /// Members join here.
    Sync,
    /// Members send to one another here.
    Router,
}

impl Port {
    /// All four, in the order of their numbers.
    pub const ALL: [Self; 4] = [Self::In, Self::Out, Self::Sync, Self::Router];

    /// Returns the port's number, counted from the first.
    #[must_use]
    pub const fn number(self, base: u16) -> u16 {
        base + self as u16
    }

    /// Returns the port's address. With a host that is `ipc://` and a path, it is a socket in the file system: that
    /// path with the port's number behind it.
    #[must_use]
    pub fn endpoint(self, host: &str, base: u16) -> String {
        match host.strip_prefix(IPC) {
            Some(path) => format!("{IPC}{path}-{}", self.number(base)),
            None => format!("tcp://{host}:{}", self.number(base)),
        }
    }
}

/// The address of one forwarder and its router.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Site {
    /// The host.
    pub host: String,
    /// The first of the four ports.
    pub port_base: u16,
}

impl Site {
    /// Returns the address of one of its ports.
    #[must_use]
    pub fn endpoint(&self, port: Port) -> String {
        port.endpoint(&self.host, self.port_base)
    }

    /// Returns the host, if it is a name, which has to be looked up.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        let is_number =
            self.host == "*" || self.host.starts_with('[') || self.host.parse::<Ipv4Addr>().is_ok();
        (!is_number && self.path().is_none()).then_some(&self.host)
    }

    /// Returns whether it is on this machine, and no other machine reaches it: an address of loopback, `localhost`, or a
    /// path. Another name may mean this machine today, and another one tomorrow.
    #[must_use]
    pub fn is_local(&self) -> bool {
        let number = self.host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        let is_loopback = number.is_ok_and(|number| number.to_canonical().is_loopback());
        is_loopback || self.path().is_some() || self.host.eq_ignore_ascii_case("localhost")
    }

    /// Returns the path, if it is a socket in the file system.
    #[must_use]
    pub fn path(&self) -> Option<&str> {
        self.host.strip_prefix(IPC)
    }
}

/// The use that a program makes of an address.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Use {
    /// It listens there.
    Listen,
    /// It connects there.
    Connect,
}

/// Refuses sites that are reached from other machines, or by way of a network.
///
/// # Errors
/// [`Exit::Config`] for the first that is not [local](Site::is_local).
pub fn must_be_local(sites: &[Site], used: Use) -> Result<(), Failure> {
    let Some(Site { host, .. }) = sites.iter().find(|site| !site.is_local()) else { return Ok(()) };
    let (message, help) = match used {
        Use::Listen => (
            format!("{host} lets other machines in, and nobody would need a key"),
            "`groupcast keys init keys` and --keys keys; or --insecure, where everybody who reaches it may do everything",
        ),
        Use::Connect => (
            format!("{host} may be another machine, and nothing on the way there would be encrypted"),
            "--keys with the file that `groupcast keys pack` made there; or --insecure, where the whole way is trusted",
        ),
    };
    Err(Failure::new(Exit::Config, message).help(help))
}

/// Addresses as a command line gives them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Addresses(Vec<(String, Option<u16>)>);

impl Addresses {
    /// Returns all sites; `port_base` is the first port of those without one.
    ///
    /// # Errors
    /// [`Exit::Usage`] if `flag` names one twice.
    pub fn sites(&self, flag: &str, port_base: u16) -> Result<Vec<Site>, Failure> {
        let mut sites: Vec<Site> = Vec::new();
        for (host, port) in &self.0 {
            let site = Site { host: host.clone(), port_base: port.unwrap_or(port_base) };
            if sites.contains(&site) {
                let message = format!("{flag} names {host}:{} twice", site.port_base);
                return Err(Failure::new(Exit::Usage, message).help("each address is named once"));
            }
            sites.push(site);
        }
        Ok(sites)
    }
}

/// Parses addresses to connect to: `HOST`, `HOST:PORT`, `[::1]:PORT`, several with commas between.
///
/// # Errors
/// The mistake, for people.
pub fn addresses(text: &str) -> Result<Addresses, String> {
    let addresses = addresses_to_listen_on(text)?;
    match addresses.0.iter().any(|(host, _)| host == "*") {
        true => Err("`*` is every address of a machine, and none to connect to: expected HOST".to_owned()),
        false => Ok(addresses),
    }
}

/// Parses addresses to listen on: the same, and `*`, which is every IPv4 address of this machine.
///
/// # Errors
/// The mistake, for people.
pub fn addresses_to_listen_on(text: &str) -> Result<Addresses, String> {
    let addresses: Vec<_> = text.split(',').map(|text| address(text.trim())).collect::<Result<_, _>>()?;
    match addresses.len() {
        0..=MAX_SITES => Ok(Addresses(addresses)),
        many => Err(format!("{many} addresses; at most {MAX_SITES} are possible")),
    }
}

/// Parses one address: the host, an IPv6 address in its brackets, and the first of its ports if it has one.
///
/// # Errors
/// The mistake, for people.
pub fn address(text: &str) -> Result<(String, Option<u16>), String> {
    if is_ipv6(text) {
        // `::1:5559` is an IPv6 address as well: without brackets its end is ambiguous.
        return Err(format!(
            "`{text}` is an IPv6 address, which stands in brackets: expected [{text}], or [{text}]:5559 with the \
             first of its ports"
        ));
    }
    // A socket in the file system has no port of its own.
    if text.strip_prefix(IPC).is_some_and(|path| !path.is_empty()) {
        return Ok((text.to_owned(), None));
    }
    // Only within brackets is a colon part of the host.
    let inside = text.rfind(']').unwrap_or(0);
    let (host, port) = match text[inside..].rfind(':') {
        Some(colon) => (&text[..inside + colon], Some(&text[inside + colon + 1..])),
        None => (text, None),
    };
    let in_brackets = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    if host != "*" && !is_name(host) && !in_brackets.is_some_and(is_ipv6) {
        return Err(format!(
            "`{text}` is no address: expected HOST or HOST:PORT, an IPv6 address in brackets, like [::1]:5559"
        ));
    }
    let port = port.map(|port| match port.parse() {
        Ok(port @ 1..=MAX_PORT_BASE) => Ok(port),
        _ => Err(format!(
            "the port of `{text}`: expected a number from 1 to {MAX_PORT_BASE}, the first of four"
        )),
    });
    Ok((host.to_owned(), port.transpose()?))
}

/// Returns whether it is an IPv4 address or may be a name.
fn is_name(host: &str) -> bool {
    let is_letter = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    !host.is_empty() && host.chars().all(is_letter)
}

/// Returns whether it is an IPv6 address, perhaps with a zone.
fn is_ipv6(text: &str) -> bool {
    text.split('%').next().unwrap_or(text).parse::<Ipv6Addr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_hosts_with_or_without_a_port() {
        let sites = |text: &str| {
            let sites = addresses(text).map(|addresses| addresses.sites("--connect", 7000).unwrap());
            sites.map(|sites| sites.iter().map(|site| format!("{} {}", site.host, site.port_base)).collect())
        };
        for (text, expected) in [
            ("localhost", &["localhost 7000"][..]),
            ("10.0.0.1:5559", &["10.0.0.1 5559"]),
            ("a:5559,b-c.example:5659, d", &["a 5559", "b-c.example 5659", "d 7000"]),
            ("[::1]", &["[::1] 7000"]),
            ("[fe80::1%eth0]:5559", &["[fe80::1%eth0] 5559"]),
            ("ipc:///tmp/x", &["ipc:///tmp/x 7000"]),
        ] {
            let expected = expected.iter().map(|&site| site.to_owned()).collect::<Vec<_>>();
            assert_eq!(sites(text), Ok(expected), "{text}");
        }
        for text in [
            "", "a,", "a b", "tcp://a", "a/b", "a:", "a:x", "a:0", "a:65533", "a:1:2", "::1", "[::1", "[a]",
            "[::1]5", "*",
        ] {
            let refused = addresses(text).unwrap_err();
            assert!(refused.contains("expected"), "{text}: {refused}");
        }
        let too_many = ["a"; MAX_SITES + 1].join(",");
        assert!(addresses(&too_many).unwrap_err().contains("at most 8"));
        let twice = addresses("a,a:7000").unwrap().sites("--connect", 7000).unwrap_err();
        assert_eq!(twice.exit, Exit::Usage);
    }

    #[test]
    fn listening_and_connecting_understand_the_same_addresses() {
        for text in ["127.0.0.1", "localhost:7000", "[::1]", "a,b:7000", "ipc:///tmp/x"] {
            assert_eq!(addresses_to_listen_on(text), addresses(text), "{text}");
        }
        for text in ["::1", "::", "fe80::1%eth0"] {
            let refused = [addresses(text), addresses_to_listen_on(text)].map(Result::unwrap_err);
            assert!(refused.iter().all(|refused| refused.contains(&format!("[{text}]"))), "{refused:?}");
        }
        assert!(addresses_to_listen_on("*").is_ok());
    }

    #[test]
    fn addresses_beyond_this_machine_are_refused() {
        let site = |host: &str| Site { host: host.to_owned(), port_base: 1 };
        let local = [
            "127.0.0.1",
            "127.9.9.9",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "localhost",
            "LocalHost",
            "ipc:///tmp/x",
        ];
        let sites = local.map(site);
        assert!(must_be_local(&sites, Use::Listen).is_ok() && must_be_local(&sites, Use::Connect).is_ok());
        for host in [
            "*",
            "0.0.0.0",
            "[::]",
            "10.0.0.5",
            "[fe80::1%eth0]",
            "[2001:db8::1]",
            "fwd",
            "localhost.example",
            "127.1",
        ] {
            for used in [Use::Listen, Use::Connect] {
                let refused = must_be_local(&[site("127.0.0.1"), site(host)], used).unwrap_err();
                assert!(
                    refused.exit == Exit::Config && refused.message.starts_with(&format!("{host} ")),
                    "{refused}"
                );
            }
        }
    }

    #[test]
    fn only_names_have_to_be_looked_up() {
        let name = |host: &str| Site { host: host.to_owned(), port_base: 1 }.name().is_some();
        assert!(name("localhost") && name("fwd-b.example"));
        assert!(!["*", "127.0.0.1", "[::1]", "ipc:///tmp/x"].map(name).contains(&true));
    }
}
