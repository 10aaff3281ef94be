//! The key of a cluster: one secret that all its members have, in a file of the form of the others.
//!
//! ```text
//! cluster
//!     key = "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID"
//! ```

use std::net::SocketAddr;
use std::path::Path;

use super::certificate;
use super::files::{self, SECRET, read_kept, write_new};
use super::zpl;
use crate::cli::Access;
use crate::exit::{Exit, Failure};
use crate::place::Flaw;
use crate::transport::{key, z85};
use crate::wire::sealed::Key;

/// The section of the key, and its name in it.
const CLUSTER: (&str, &str) = ("cluster", "key");

/// Parses the file of a cluster's key.
///
/// # Errors
/// The first mistake.
pub(super) fn parse(file: &[u8]) -> Result<Key, Flaw> {
    let entries = zpl::parse(file)?;
    let found = entries.iter().rev().find(|entry| (entry.section, entry.name) == CLUSTER);
    let Some(entry) = found else {
        let end = file.len();
        return Err(Flaw::new(end..end, "this file has no key of a cluster")
            .help("`groupcast keys cluster FILE` makes one, for all members of a cluster"));
    };
    certificate::key(entry).map(Key)
}

/// Returns the text of a file.
pub(super) fn text(key: &Key) -> String {
    let mut text = "# The key of a cluster, for its members alone.\n".to_owned();
    zpl::write(&mut text, CLUSTER.0, &[(CLUSTER.1, &z85::encode(&key.0))]);
    text
}

/// Reads the key of a cluster.
///
/// # Errors
/// [`Exit::NoInput`] if it cannot be read, [`Exit::BadData`] with the place of a mistake, [`Exit::Config`] if anybody but
/// its owner may read it.
pub(crate) fn read(path: &Path) -> Result<Key, Failure> {
    let source = read_kept(path)?;
    parse(&source.text).map_err(|flaw| source.failure(flaw))
}

/// Makes the key of a cluster.
///
/// # Errors
/// [`Exit::CannotCreate`], also if the file is there; [`Exit::Io`] if the system has no randomness.
pub(crate) fn make(path: &Path) -> Result<Key, Failure> {
    let drawn = key::bytes().map(Key);
    let key = drawn.map_err(|error| Failure::new(Exit::Io, format!("cannot draw a key: {error}")))?;
    write_new(path, &text(&key), SECRET).map(|()| key)
}

/// Returns the key that a member of the cluster with these addresses was given; none on one machine, or if the user does
/// without.
///
/// # Errors
/// As [`read`]; [`Exit::Config`] if an address is beyond this machine, and there is neither key nor consent.
pub(crate) fn of_member(
    access: &Access,
    mut addresses: impl Iterator<Item = SocketAddr>,
) -> Result<Option<Key>, Failure> {
    match (&access.keys, addresses.find(|address| !address.ip().is_loopback())) {
        (Some(path), _) if path.is_dir() => {
            let why = format!("{} is a folder, and a cluster has one key, in a file", files::name(path));
            Err(Failure::new(Exit::Config, why).help("`groupcast keys cluster FILE` makes one"))
        }
        (Some(path), _) => read(path).map(Some),
        (None, Some(address)) if !access.insecure => Err(Failure::new(
            Exit::Config,
            format!("{address} lets other machines in, and nobody would need a key"),
        )
        .help(
            "`groupcast keys cluster cluster.key_secret`, and --keys cluster.key_secret at every member; or --insecure, \
             where everybody who reaches the members may speak for them",
        )),
        (None, _) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;

    use super::*;

    fn access(keys: Option<PathBuf>, insecure: bool) -> Access {
        Access { keys, insecure }
    }

    #[test]
    fn cluster_key_is_read_as_it_was_made() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cluster.key_secret");
        let made = make(&path).unwrap();
        assert_eq!(read(&path), Ok(made.clone()));
        assert_ne!(make(&dir.path().join("other")).unwrap(), made);
        assert_eq!(make(&path).unwrap_err().exit, Exit::CannotCreate);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert_eq!(read(&path).unwrap_err().exit, Exit::Config);
        assert!(!format!("{made:?}").contains(&z85::encode(&made.0)));
    }

    #[test]
    fn cluster_key_mistakes_have_their_place() {
        let good = text(&Key([7; 32]));
        for (text, marked, word) in [
            (good.replacen("key = ", "keys = ", 1), "", "no key of a cluster"),
            (good.replacen("cluster\n", "curve\n", 1), "", "no key of a cluster"),
            (good.replacen("key = \"", "key = \"~", 1), "~", "no letter of a key"),
            (String::new(), "", "no key of a cluster"),
        ] {
            let flaw = parse(text.as_bytes()).unwrap_err();
            assert!(text[flaw.span.clone()] == *marked && flaw.message.contains(word), "{text}: {flaw:?}");
        }
    }

    #[test]
    fn cluster_beyond_this_machine_needs_a_key_or_consent() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let key = make(&path).unwrap();
        let of = |access: &Access, address: &str| of_member(access, [address.parse().unwrap()].into_iter());
        for address in ["127.0.0.1:5600", "127.9.9.9:1", "[::1]:5600"] {
            assert_eq!(of(&access(None, false), address), Ok(None), "{address}");
        }
        for address in ["10.0.0.1:5600", "[fd00::1]:5600"] {
            let refused = of(&access(None, false), address).unwrap_err();
            assert!(refused.exit == Exit::Config && refused.to_string().contains("groupcast keys cluster"));
            assert_eq!(of(&access(None, true), address), Ok(None));
            assert_eq!(of(&access(Some(path.clone()), false), address), Ok(Some(key.clone())));
        }
        assert_eq!(of(&access(Some(path), false), "127.0.0.1:1"), Ok(Some(key)));
        let folder = of(&access(Some(dir.path().to_owned()), false), "127.0.0.1:1").unwrap_err();
        assert_eq!(folder.exit, Exit::Config);
    }
}
