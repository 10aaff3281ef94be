//! A connection of a socket to one site. It is made anew when the address of the site's name, or the keys in use there,
//! have changed.

use std::net::SocketAddr;
use std::sync::Arc;

use super::address::{Port, Site};
use super::keyring::{Choice, Keyring};
use super::options;
use super::resolve::{Name, Names};

/// A connection, as it has to be and as it is.
pub(super) struct Link {
    place: Place,
    /// The keys in use at the site, and the version of those of the connection.
    choice: Option<(Arc<Choice>, u64)>,
    /// The end of the connection, if there is one.
    endpoint: Option<String>,
}

/// The place of the site.
enum Place {
    /// An endpoint that never changes.
    Fixed(String),
    /// A port of a host with a name, and the version of the name whose address is in use.
    Named { name: Arc<Name>, port: u16, version: u64 },
}

impl Link {
    /// Returns the connection that is to be made to a site.
    pub(super) fn new(site: &Site, port: Port, names: &Names, keys: Option<&Arc<Keyring>>) -> Self {
        let place = match names.of(site) {
            Some(name) => Place::Named { name, port: port.number(site.port_base), version: 0 },
            None => Place::Fixed(site.endpoint(port)),
        };
        Self { place, choice: keys.map(|keys| (keys.at(site), 0)), endpoint: None }
    }

    /// Connects, or connects anew, if that is due. Returns whether it did.
    pub(super) fn follow(&mut self, socket: &zmq::Socket) -> Result<bool, zmq::Error> {
        let has_other_keys = self.choice.as_mut().is_some_and(|(choice, used)| {
            let version = choice.version();
            version != std::mem::replace(used, version)
        });
        let has_moved = match &mut self.place {
            Place::Fixed(_) => self.endpoint.is_none(),
            Place::Named { name, version: used, .. } => {
                let version = name.version();
                version != std::mem::replace(used, version)
            }
        };
        if !has_moved && !has_other_keys {
            return Ok(false);
        }
        let endpoint = match &self.place {
            Place::Fixed(endpoint) => endpoint.clone(),
            Place::Named { name, port, .. } => match name.address() {
                Some(address) => format!("tcp://{}", SocketAddr::new(address, *port)),
                None => return Ok(false),
            },
        };
        if let Some(left) = self.endpoint.replace(endpoint.clone()) {
            let _ = socket.disconnect(&left);
        }
        if let Some((choice, _)) = &self.choice {
            options::prove_key(socket, &choice.credential())?;
        }
        socket.set_ipv6(is_ipv6(&endpoint))?;
        socket.connect(&endpoint).map(|()| true)
    }

    /// Returns the name of its host, if it has one.
    pub(super) fn name(&self) -> Option<&Arc<Name>> {
        match &self.place {
            Place::Fixed(_) => None,
            Place::Named { name, .. } => Some(name),
        }
    }

    /// Has other keys used at the site, if there are others.
    pub(super) fn leave_keys(&self) {
        if let Some((choice, used)) = &self.choice {
            choice.leave(*used);
        }
    }

    /// Returns the number of keys that the site may have.
    pub(super) fn keys(&self) -> usize {
        self.choice.as_ref().map_or(1, |(choice, _)| choice.count())
    }

    /// Returns its endpoint for messages.
    pub(super) fn endpoint(&self) -> &str {
        self.endpoint.as_deref().unwrap_or_default()
    }
}

/// Returns whether the address is one of IPv6.
pub(super) fn is_ipv6(endpoint: &str) -> bool {
    endpoint.contains('[')
}
