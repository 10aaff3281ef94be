//! The keys that one member uses: its own pair, and the public keys of the forwarders. They are in the folder of all keys,
//! or in the one file that `groupcast keys pack` makes for it.

use std::path::Path;

use super::certificate::Certificate;
use super::files::{name, read_secret};
use super::folder::{ANY, FORWARDER, Folder, NEXT};
use crate::exit::{Exit, Failure};
use crate::transport::curve::{KeyPair, PublicKey};
use crate::transport::keyring::Credential;

/// The keys of one member.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct OwnKeys {
    /// Its own pair.
    pub(crate) pair: KeyPair,
    /// The keys that the forwarders may have: the present one, and one that takes its place.
    pub(crate) forwarders: Vec<PublicKey>,
}

impl OwnKeys {
    /// Reads the keys of the member `id` from a folder or a file.
    ///
    /// # Errors
    /// [`Exit::NoInput`], [`Exit::BadData`] or [`Exit::Config`], as for each file.
    pub(crate) fn read(path: &Path, id: &str) -> Result<Self, Failure> {
        let certificate = if path.is_dir() { from_folder(path, id)? } else { read_secret(path)? };
        let Certificate { public, secret, forwarders, .. } = certificate;
        match secret {
            Some(secret) if !forwarders.is_empty() => {
                Ok(Self { pair: KeyPair { public, secret }, forwarders })
            }
            _ => {
                let why = format!("{} has no key of a forwarder", name(path));
                Err(Failure::new(Exit::BadData, why)
                    .help("`groupcast keys pack` makes a file that has both; a folder of keys has both, too"))
            }
        }
    }
}

/// Returns the keys by which the member `id` may connect, the present ones first. The forwarder and its routers have the
/// next pair of their own beside the present one.
///
/// # Errors
/// As [`OwnKeys::read`].
pub(super) fn credentials(path: &Path, id: &str) -> Result<Vec<Credential>, Failure> {
    let OwnKeys { pair, forwarders } = OwnKeys::read(path, id)?;
    let next = (id == FORWARDER).then(|| Folder(path.to_owned()).pair(NEXT).ok()).flatten();
    let own = |forwarder: PublicKey| match &next {
        Some(next) if next.public == forwarder => next.clone(),
        _ => pair.clone(),
    };
    Ok(forwarders.into_iter().map(|forwarder| Credential { own: own(forwarder), forwarder }).collect())
}

/// Returns all that the member `id` needs from the folder of all keys, as its file would have it.
///
/// # Errors
/// As [`OwnKeys::read`].
pub(super) fn from_folder(dir: &Path, id: &str) -> Result<Certificate, Failure> {
    let folder = Folder(dir.to_owned());
    let forwarders: Vec<PublicKey> =
        [Some(folder.forwarder()?), folder.next()?].into_iter().flatten().collect();
    let paths = [id, ANY].map(|name| folder.secret(name));
    let path = paths.iter().find(|path| path.exists()).unwrap_or(&paths[0]);
    let certificate = read_secret(path).map_err(|failure| match failure.exit {
        Exit::NoInput => failure.help(format!(
            "the key of {id} is needed here; `groupcast keys add {} {id}` makes a new one",
            name(dir)
        )),
        _ => failure,
    })?;
    Ok(Certificate { forwarders, ..certificate })
}
