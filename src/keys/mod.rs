//! Keys of the forwarder, of the members and of clusters: files, folders, and `groupcast keys`.
//!
//! `certificate` is one file, in the form of `zpl`, with a `permit`; `files` reads and writes it on the disk. `folder` is
//! all that an operator has, `own` all that a member needs. `context` has the sockets of a program with keys; at a forwarder
//! or a router, `admission` decides which keys are accepted and, by the `rights` of their owners, which requests and packets; it
//! counts the `refusals`, and `reload` reads the folder again. `cluster` is the one key of a cluster. `tool` is `groupcast keys`;
//! its `attempt` tries the ports of a forwarder. The keys themselves are in [`crate::transport::curve`] and
//! [`crate::wire::sealed`].

mod admission;
mod attempt;
mod certificate;
pub(crate) mod cluster;
pub(crate) mod context;
mod files;
mod folder;
mod own;
mod permit;
mod refusals;
mod reload;
mod rights;
pub(crate) mod tool;
mod zpl;

pub(crate) use admission::Admission;
pub(crate) use permit::Role;
pub(crate) use reload::Reload;
pub(crate) use tool::make_all;

use crate::place::Flaw;

/// Returns a key file, of a cluster or of a member, as it would be written.
///
/// # Errors
/// The first mistake.
pub(crate) fn written_again(file: &[u8], of_cluster: bool) -> Result<String, Flaw> {
    if of_cluster {
        return cluster::parse(file).map(|key| cluster::text(&key));
    }
    certificate::Certificate::parse(file).map(|certificate| certificate.text(&[]))
}
