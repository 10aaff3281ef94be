//! The servers that a client knows, and the order in which it tries them. Pure.

use super::told::View;

/// Most servers that are remembered.
const MOST_PLACES: usize = 128;

/// A server that may be tried.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Place {
    /// Its id, once a server has told it.
    pub(super) id: Option<String>,
    /// Its host and port.
    pub(super) address: String,
}

impl Place {
    /// Returns the id, or the address of one whose id is not known.
    pub(super) fn name(&self) -> &str {
        self.id.as_deref().unwrap_or(&self.address)
    }
}

/// All servers that may be tried; there is always one.
#[derive(Debug)]
pub(super) struct Roster {
    places: Vec<Place>,
    at: usize,
    /// The number of servers left behind since the last one that was found.
    failed: usize,
}

impl Roster {
    /// Returns the servers with these addresses. There must be one.
    pub(super) fn new(addresses: &[String]) -> Self {
        let mut roster = Self { places: Vec::new(), at: 0, failed: 0 };
        for address in addresses {
            roster.add(None, address);
        }
        roster
    }

    fn add(&mut self, id: Option<&str>, address: &str) {
        if let Some(known) = self.places.iter_mut().find(|place| place.address == address) {
            known.id = known.id.take().or_else(|| id.map(str::to_owned));
        } else if self.places.len() < MOST_PLACES {
            self.places.push(Place { id: id.map(str::to_owned), address: address.to_owned() });
        }
    }

    /// Returns the server whose turn it is.
    pub(super) fn current(&self) -> &Place {
        &self.places[self.at]
    }

    /// Returns all names.
    pub(super) fn names(&self) -> Vec<&str> {
        self.places.iter().map(Place::name).collect()
    }

    /// Goes on to the next server. Returns whether all have had their turn.
    pub(super) fn go_on(&mut self) -> bool {
        self.at = (self.at + 1) % self.places.len();
        self.failed += 1;
        self.failed.is_multiple_of(self.places.len())
    }

    /// Returns whether each server has failed at least once since the last one that was found.
    pub(super) const fn is_again(&self) -> bool {
        self.failed > self.places.len()
    }

    /// Makes it the turn of a server, by its id or its address. Returns false if there is none.
    pub(super) fn choose(&mut self, name: &str) -> bool {
        let wanted = parse_address(name).ok();
        let is_it = |place: &Place| {
            place.id.as_deref() == Some(name) || wanted.as_deref() == Some(place.address.as_str())
        };
        let found = self.places.iter().position(is_it);
        if let Some(at) = found {
            (self.at, self.failed) = (at, 0);
        }
        found.is_some()
    }

    /// Takes over what the current server tells of itself and of the others.
    pub(super) fn learn(&mut self, view: &View) {
        self.failed = 0;
        let own_host = host(&self.places[self.at].address).to_owned();
        self.places[self.at].id = Some(view.server.clone());
        for server in &view.servers {
            let is_known = self.places.iter().any(|place| place.id.as_deref() == Some(server.id.as_str()));
            let Some(web) = server.web.as_deref().filter(|_| !is_known) else { continue };
            let Ok(mut address) = parse_address(web) else { continue };
            // A server that listens at all addresses of its machine names none.
            if matches!(host(&address), "0.0.0.0" | "[::]") {
                let port = &address[host(&address).len()..];
                address = format!("{own_host}{port}");
            }
            self.add(Some(&server.id), &address);
        }
    }
}

/// Returns the host of `HOST:PORT`.
fn host(address: &str) -> &str {
    address.rsplit_once(':').map_or(address, |(host, _)| host)
}

/// Returns the host and the port of `http://HOST:PORT`, or of the two alone.
///
/// # Errors
/// The mistake, for people.
pub(super) fn parse_address(text: &str) -> Result<String, String> {
    let wrong = || "expected the address of a server, for example http://127.0.0.1:8081".to_owned();
    if text.starts_with("https://") {
        return Err("chat speaks HTTP without TLS: write http://HOST:PORT".to_owned());
    }
    let rest = text.strip_prefix("http://").unwrap_or(text);
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let (host, port) = rest.rsplit_once(':').ok_or_else(wrong)?;
    let is_port = port.parse::<u16>().is_ok_and(|port| port > 0) && !port.starts_with('+');
    let is_bracketed = host.starts_with('[') && host.ends_with(']');
    let is_host = |letter: u8| letter.is_ascii_alphanumeric() || matches!(letter, b'.' | b'-' | b'_');
    let is_plain = !host.is_empty() && host.bytes().all(is_host);
    let inner = host.trim_start_matches('[').trim_end_matches(']');
    let is_ipv6 = is_bracketed && inner.parse::<std::net::Ipv6Addr>().is_ok();
    if is_port && (is_plain || is_ipv6) { Ok(rest.to_owned()) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn roster(addresses: &[&str]) -> Roster {
        Roster::new(&addresses.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>())
    }

    fn view(server: &str, webs: &[(&str, Option<&str>)]) -> View {
        let servers: Vec<_> = webs.iter().map(|(id, web)| json!({"id": id, "web": web})).collect();
        serde_json::from_value(json!({"server": server, "servers": servers})).unwrap()
    }

    #[test]
    fn addresses_are_urls_or_hosts_with_ports() {
        for (text, address) in [
            ("http://127.0.0.1:8081", "127.0.0.1:8081"),
            ("http://localhost:8081/", "localhost:8081"),
            ("host-1.example:80", "host-1.example:80"),
            ("[::1]:8081", "[::1]:8081"),
        ] {
            assert_eq!(parse_address(text).unwrap(), address);
        }
        for text in ["", "http://", "host", ":80", "host:0", "host:99999", "host:80/page", "a b:80", "[x]:80"]
        {
            assert!(parse_address(text).is_err(), "{text}");
        }
        assert!(parse_address("https://host:80").unwrap_err().contains("TLS"));
    }

    #[test]
    fn servers_take_turns_in_the_order_given_and_then_in_that_of_the_cluster() {
        let mut roster = roster(&["10.0.0.2:80", "10.0.0.9:80"]);
        roster.learn(&view("s2", &[("s1", Some("10.0.0.1:80")), ("s2", Some("x:1")), ("s3", None)]));
        assert_eq!(roster.names(), ["s2", "10.0.0.9:80", "s1"]);
        assert!(!roster.go_on());
        assert_eq!(roster.current().name(), "10.0.0.9:80");
        assert!(!roster.go_on());
        assert!(roster.go_on(), "all have had their turn");
        assert!(!roster.is_again());
        roster.go_on();
        assert!(roster.is_again());
        assert!(roster.choose("s1") && roster.current().address == "10.0.0.1:80");
        assert!(!roster.choose("s3"));
    }

    #[test]
    fn servers_that_listen_everywhere_are_at_the_host_that_answered() {
        let mut roster = roster(&["example:80"]);
        roster.learn(&view("s1", &[("s2", Some("0.0.0.0:81")), ("s3", Some("[::]:82"))]));
        let addresses: Vec<&str> = roster.places.iter().map(|place| place.address.as_str()).collect();
        assert_eq!(addresses, ["example:80", "example:81", "example:82"]);
    }
}
