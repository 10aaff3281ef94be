//! The four ports of a run: the requested ones, or free ones that no other run takes.

use std::net::{TcpListener, UdpSocket};

use crate::driver::clock;
use crate::exit::{Exit, Failure};

/// The range of free ports, below those that the system gives to outgoing connections.
const PORTS: std::ops::Range<u64> = 21_000..32_000;
/// The number of blocks of ports to try.
const TRIES: u64 = 1000;
/// The number of ports of a run.
const WIDTH: u16 = 4;

/// The ports of a run.
#[derive(Debug)]
pub(crate) struct Ports {
    pub(crate) base: u16,
    /// The port after the four. While it is bound, no other run takes the four, even before the programs listen there.
    _claim: Option<TcpListener>,
}

impl Ports {
    /// Returns the four ports from `base` on, free or not.
    pub(crate) const fn at(base: u16) -> Self {
        Self { base, _claim: None }
    }

    /// Finds four free ports. A program outside of any run could still take one; the program that needs it then reports
    /// that.
    ///
    /// # Errors
    /// [`Exit::Unavailable`] if there seem to be none.
    pub(crate) fn free() -> Result<Self, Failure> {
        let block = u64::from(WIDTH) + 1;
        let places = (PORTS.end - PORTS.start) / block;
        // The search starts at random, so that runs that start together try different ports.
        let start = clock::nonce();
        (0..TRIES)
            .map(|step| PORTS.start + (start.wrapping_add(step) % places) * block)
            .find_map(|base| Self::take(base as u16))
            .ok_or_else(|| {
                Failure::new(Exit::Unavailable, "cannot find free ports").help("choose some with --port-base")
            })
    }

    /// Finds so many free UDP ports, and returns them with what keeps other runs from taking them.
    ///
    /// # Errors
    /// [`Exit::Unavailable`] if there seem to be none.
    pub(crate) fn free_for_datagrams(count: usize) -> Result<(Vec<Self>, Vec<u16>), Failure> {
        let (mut blocks, mut ports) = (Vec::new(), Vec::new());
        // A block whose UDP ports are in use is kept until the end of the search, so that it is not found again.
        for _ in 0..TRIES {
            let block = Self::free()?;
            let is_free = |port: &u16| UdpSocket::bind(("127.0.0.1", *port)).is_ok();
            ports.extend((block.base..block.base + WIDTH).filter(is_free));
            blocks.push(block);
            if ports.len() >= count {
                ports.truncate(count);
                return Ok((blocks, ports));
            }
        }
        Err(Failure::new(Exit::Unavailable, "cannot find free UDP ports"))
    }

    fn take(base: u16) -> Option<Self> {
        let bind = |port: u16| TcpListener::bind(("127.0.0.1", port)).ok();
        let claim = bind(base + WIDTH)?;
        (base..base + WIDTH).all(|port| bind(port).is_some()).then_some(Self { base, _claim: Some(claim) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_ports_can_be_bound_and_are_not_found_again() {
        let ports = Ports::free().unwrap();
        let bound: Vec<_> =
            (ports.base..).take(4).map(|port| TcpListener::bind(("127.0.0.1", port)).unwrap()).collect();
        drop(bound);
        assert!(Ports::take(ports.base).is_none());
    }
}
