//! Station 2: the user of a client: a command file, a pipe or a person, which supplies messages and takes deliveries.

use std::time::Duration;

use bytes::Bytes;

use crate::driver::Node;
use crate::engine::Time;
use crate::exit::Failure;
use crate::participant::Next;
use crate::transport::stdio::Output;

/// Longest time for which a client that ends early goes on writing its deliveries.
pub(super) const GRACE: Duration = Duration::from_millis(500);

/// The user of a client in a run.
pub(super) trait User {
    /// Returns the next operation; the same one until its text is taken.
    ///
    /// # Errors
    /// The cause, if it cannot be sent, or can no longer be read; the same until then.
    fn next(&mut self, now: Time) -> Result<Next, Failure>;

    /// Returns the group of the next multicast, as an index of `--group`.
    fn group(&self) -> usize {
        0
    }

    /// Takes the text of the next operation, which is done then.
    fn take(&mut self) -> Option<Bytes>;

    /// Returns the number of operations done, and of all, as far as it is known.
    fn operations(&self) -> (u64, u64) {
        (0, 0)
    }

    /// Leaves out so many multicasts, which earlier lives of this client have sent.
    fn resume(&mut self, _multicasts: u64) {}

    /// Begins a new view.
    fn meet_group(&mut self, _node: &Node) {}

    /// Shows a multicast.
    fn delivered(&mut self, _from: &str, _text: &[u8]) {}

    /// Shows a direct message.
    fn received(&mut self, _from: &str, _text: &[u8]) {}

    /// Shows a person a line that is not a message; returns false if nobody is there to see it.
    fn note(&self, _line: &str) -> bool {
        false
    }

    /// Passes deliveries on to the output.
    fn show(&mut self) {}

    /// Returns the output, if deliveries are shown at all.
    fn output(&self) -> Option<&Output> {
        None
    }

    /// Returns whether the user is a person, who decides how long to wait.
    fn is_person(&self) -> bool {
        false
    }
}
