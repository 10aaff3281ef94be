//! The sockets' context of a program: with the keys that its command line names, or without.

use std::path::Path;
use std::sync::Arc;

use super::admission::Admission;
use super::folder::{FORWARDER, Folder};
use super::own;
use crate::cli::{Access, Threads};
use crate::exit::{Exit, Failure};
use crate::transport::curve;
use crate::transport::keyring::Keyring;
use crate::transport::zmq::Context;

/// Returns the context of a process that only connects, with the keys of the member `id`.
///
/// # Errors
/// As [`own::credentials`]; [`Exit::Config`] if ZeroMQ has no CURVE.
pub(crate) fn of_member(keys: Option<&Path>, id: &str) -> Result<Context, Failure> {
    let Some(path) = keys else { return Ok(Context::default()) };
    curve::must_be_available()?;
    Ok(Context::with_keys(keyring(path, id)?))
}

/// Returns the keys of the member `id`, which are read again when they do not work any more.
fn keyring(path: &Path, id: &str) -> Result<Keyring, Failure> {
    let known = own::credentials(path, id)?;
    let (path, id) = (path.to_owned(), id.to_owned());
    Ok(Keyring::new(known, Box::new(move || own::credentials(&path, &id).ok())))
}

/// Returns the context of a process that asks a forwarder without being a member: on the forwarder's machine with its key.
///
/// # Errors
/// As [`of_member`].
pub(crate) fn of_observer(access: &Access) -> Result<Context, Failure> {
    of_member(access.keys.as_deref(), FORWARDER)
}

/// Returns the context of a forwarder or a router, and the keys that it accepts.
///
/// # Errors
/// As [`Folder::pair`] and [`Folder::read`]; [`Exit::Config`] if ZeroMQ has no CURVE, or the keys are those of a member.
pub(crate) fn of_server(
    access: &Access,
    threads: Threads,
) -> Result<(Context, Option<Arc<Admission>>), Failure> {
    let threads = threads.number(access.keys.is_some());
    let Some(path) = &access.keys else { return Ok((Context::with_threads(threads)?, None)) };
    curve::must_be_available()?;
    if path.is_file() {
        let why = format!("{} is the file of one member, and no folder of keys", super::files::name(path));
        return Err(
            Failure::new(Exit::Config, why).help("forwarders and routers need the folder of all keys")
        );
    }
    let folder = Folder(path.clone());
    let admission = Arc::new(Admission::read(&folder)?);
    folder.pair(FORWARDER)?;
    let asked = Arc::clone(&admission);
    let keys = keyring(path, FORWARDER)?;
    let admit = Arc::new(move |key, address: &str| asked.admit(key, address));
    Ok((Context::with_threads(threads)?.with_keys_of_others(keys, admit)?, Some(admission)))
}
