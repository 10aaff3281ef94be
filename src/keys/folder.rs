//! The folder of all keys, read as a whole or refused: the forwarder's, and the list of the members whose keys are
//! accepted.
//!
//! ```text
//! keys/
//!   forwarder.key              public; every member has a copy
//!   forwarder.key_secret       for forwarders and routers alone
//!   forwarder.next.key         while the forwarder's key is being replaced, with its secret
//!   members/c1.key             public; the name of the file is the id of the member …
//!   members/c1.2.key           … also of a second key of the same member
//!   members/+.key              a key for any id that has none of its own
//!   c1.key_secret              given to c1, and removed here
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::certificate::Certificate;
use super::files::{name, read_public, read_secret};
use super::permit::Permit;
use crate::exit::{Exit, Failure};
use crate::place::shown;
use crate::script::check_id;
use crate::transport::curve::{KeyPair, PublicKey};

/// The name of the forwarder's key.
pub(super) const FORWARDER: &str = "forwarder";
/// The name of the key that is to take its place.
pub(super) const NEXT: &str = "forwarder.next";
/// The folder of the members' keys.
const MEMBERS: &str = "members";
/// The name of a key for any id.
pub(super) const ANY: &str = "+";
/// The ends of the names of public and of secret files.
const ENDINGS: [&str; 2] = [".key", ".key_secret"];
/// Most keys of members.
const MOST_MEMBERS: usize = 10_000;

/// The names of the files in a folder, and of each the length, the inode, the rights, and the times of its changes.
pub(super) type Stamp = Result<Vec<(PathBuf, Result<Looks, ErrorKind>)>, String>;
type Looks = (u64, u64, u32, (i64, i64), (i64, i64));

/// The path of a folder of keys.
#[derive(Clone, Debug)]
pub(super) struct Folder(pub(super) PathBuf);

/// The keys in a folder.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Keys {
    pub(super) forwarder: PublicKey,
    pub(super) next: Option<PublicKey>,
    /// The members by their keys.
    pub(super) members: BTreeMap<PublicKey, Member>,
}

/// The owner of a key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Member {
    /// The name of its file, without the ending: its id, for a further key with `.` and a number.
    pub(super) name: String,
    pub(super) permit: Permit,
}

impl Folder {
    /// Returns the path of a public key.
    pub(super) fn public(&self, name: &str) -> PathBuf {
        self.0.join(format!("{name}{}", ENDINGS[0]))
    }

    /// Returns the path of a secret key.
    pub(super) fn secret(&self, name: &str) -> PathBuf {
        self.0.join(format!("{name}{}", ENDINGS[1]))
    }

    /// Returns the folder of the members' public keys.
    pub(super) fn members(&self) -> PathBuf {
        self.0.join(MEMBERS)
    }

    /// Returns the path of the public key of a member.
    pub(super) fn member(&self, name: &str) -> PathBuf {
        self.members().join(format!("{name}{}", ENDINGS[0]))
    }

    /// Returns the forwarder's public key.
    ///
    /// # Errors
    /// As [`read_public`], with what makes such a folder if there is none.
    pub(super) fn forwarder(&self) -> Result<PublicKey, Failure> {
        let read = read_public(&self.public(FORWARDER)).map(|certificate| certificate.public);
        read.map_err(|failure| match failure.exit {
            Exit::NoInput => failure.help(format!(
                "a folder of keys has this file; `groupcast keys init {}` makes a new folder",
                name(&self.0)
            )),
            _ => failure,
        })
    }

    /// Returns the key that is to take the place of the forwarder's, if there is one.
    ///
    /// # Errors
    /// As [`read_public`].
    pub(super) fn next(&self) -> Result<Option<PublicKey>, Failure> {
        match self.public(NEXT) {
            path if path.exists() => read_public(&path).map(|certificate| Some(certificate.public)),
            _ => Ok(None),
        }
    }

    /// Returns the pair of the forwarder.
    ///
    /// # Errors
    /// As [`read_secret`]; [`Exit::BadData`] if the two files do not belong together.
    pub(super) fn pair(&self, name: &str) -> Result<KeyPair, Failure> {
        let (open, secret) = (self.public(name), self.secret(name));
        let (public, certificate) = (read_public(&open)?.public, read_secret(&secret)?);
        match certificate.secret {
            Some(secret) if certificate.public == public => Ok(KeyPair { public, secret }),
            _ => {
                let [open, secret] = [open, secret].map(|path| super::files::name(&path));
                Err(Failure::new(Exit::BadData, format!("{secret} does not belong to {open}")))
            }
        }
    }

    /// Reads all public keys.
    ///
    /// # Errors
    /// The first file that is not as it must be: as [`read_public`], and [`Exit::BadData`].
    pub(super) fn read(&self) -> Result<Keys, Failure> {
        let (forwarder, next) = (self.forwarder()?, self.next()?);
        let mut members: BTreeMap<PublicKey, Member> = BTreeMap::new();
        for path in self.listed()? {
            let member = named(&path)?;
            let Certificate { public, permit, .. } = read_public(&path)?;
            let other = match members.get(&public) {
                _ if public == forwarder || Some(public) == next => Some(FORWARDER.to_owned()),
                other => other.map(|other| other.name.clone()),
            };
            if let Some(other) = other {
                let why = format!("{} has the same key as {other}", name(&path));
                return Err(Failure::new(Exit::BadData, why).help("each has a key of its own"));
            }
            members.insert(public, Member { name: member, permit });
        }
        Ok(Keys { forwarder, next, members })
    }

    /// Returns the names of all keys of members, those of one member together. The files are not read.
    ///
    /// # Errors
    /// [`Exit::NoInput`] if the folder cannot be read, [`Exit::BadData`] if a file has another name.
    pub(super) fn names(&self) -> Result<Vec<String>, Failure> {
        let mut names = self.listed()?.iter().map(|path| named(path)).collect::<Result<Vec<_>, _>>()?;
        names.sort_by_cached_key(|name| (id_of(name).to_owned(), name.clone()));
        Ok(names)
    }

    /// Returns what tells whether any file of the folder has changed, without reading them.
    pub(super) fn stamp(&self) -> Stamp {
        let of_forwarder = [FORWARDER, NEXT].into_iter();
        let of_forwarder = of_forwarder.flat_map(|name| [self.public(name), self.secret(name)]);
        let members = self.listed().map_err(|failure| failure.message);
        let looks = |path: PathBuf| {
            let file = fs::metadata(&path).map_err(|error| error.kind());
            let file = file.map(|file| {
                let [changed, written] =
                    [(file.ctime(), file.ctime_nsec()), (file.mtime(), file.mtime_nsec())];
                (file.len(), file.ino(), file.mode(), changed, written)
            });
            (path, file)
        };
        members.map(|members| of_forwarder.chain(members).map(looks).collect())
    }

    /// Returns the paths of the members' keys, sorted.
    fn listed(&self) -> Result<Vec<PathBuf>, Failure> {
        let dir = self.members();
        let cannot = |error: std::io::Error| {
            Failure::new(Exit::NoInput, format!("cannot read {}: {error}", name(&dir)))
        };
        let mut paths = Vec::new();
        for entry in fs::read_dir(&dir).map_err(cannot)? {
            let path = entry.map_err(cannot)?.path();
            // Files that are being written, and those of editors.
            if !path.file_name().unwrap_or_default().as_encoded_bytes().starts_with(b".") {
                paths.push(path);
            }
            if paths.len() > MOST_MEMBERS {
                let why = format!("{} has more than {MOST_MEMBERS} files", name(&dir));
                return Err(Failure::new(Exit::BadData, why));
            }
        }
        paths.sort();
        Ok(paths)
    }
}

/// Returns the name of the key in the file of a member.
fn named(path: &Path) -> Result<String, Failure> {
    let file = shown(path.file_name().unwrap_or_default().as_encoded_bytes());
    let wrong = |why: &str| Failure::new(Exit::BadData, format!("{}: {why}", name(path)));
    if file.ends_with(ENDINGS[1]) {
        return Err(wrong("a secret key does not belong here").help("only its owner has it: move it away"));
    }
    let Some(member) = file.strip_suffix(ENDINGS[0]) else {
        return Err(wrong("this is no key file").help("the name of each is the id of a member and `.key`"));
    };
    match check_id(id_of(member)) {
        Err(why) if member != ANY => Err(wrong(&why)),
        _ if id_of(member) == FORWARDER => Err(wrong("the forwarder's key does not belong here")),
        _ => Ok(member.to_owned()),
    }
}

/// Returns the id of a member whose key has this name: `c1` for `c1` and for `c1.2`.
pub(super) fn id_of(name: &str) -> &str {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    name.rsplit_once('.').filter(|(_, number)| is_number(number)).map_or(name, |(id, _)| id)
}

/// Checks the id of a member that is to have a key.
///
/// # Errors
/// The mistake, for people.
pub(super) fn check_name(id: &str) -> Result<(), String> {
    if id == ANY {
        return Ok(());
    }
    check_id(id)?;
    if id == FORWARDER || id == NEXT {
        return Err(format!("`{id}` is the name of another key"));
    }
    match id_of(id) {
        other if other != id => Err(format!("a key with the name `{id}` is a further one of `{other}`")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::files::{PUBLIC, make_folder, write_new};

    /// A folder with a forwarder's key and these keys of members.
    fn folder(members: &[&str]) -> (tempfile::TempDir, Folder, Vec<KeyPair>) {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder(dir.path().join("keys"));
        make_folder(&folder.members()).unwrap();
        let paths = [folder.public(FORWARDER)].into_iter();
        let paths = paths.chain(members.iter().map(|name| folder.member(name)));
        let pairs = paths.map(|path| put(&path)).collect();
        (dir, folder, pairs)
    }

    fn put(path: &Path) -> KeyPair {
        let pair = KeyPair::new().unwrap();
        let certificate = Certificate::of_public(pair.public, Permit::new(&[], &[]));
        write_new(path, &certificate.text(&[]), PUBLIC).unwrap();
        pair
    }

    #[test]
    fn folder_is_read_as_a_whole() {
        let (_dir, folder, pairs) = folder(&["c1", "c1.2", "+", "a.b"]);
        fs::write(folder.members().join(".c9.key.new"), "half of").unwrap();
        let keys = folder.read().unwrap();
        assert_eq!((keys.forwarder, keys.next, keys.members.len()), (pairs[0].public, None, 4));
        assert_eq!(keys.members[&pairs[2].public].name, "c1.2");
        assert_eq!(folder.names().unwrap(), ["+", "a.b", "c1", "c1.2"]);
        let next = put(&folder.public(NEXT));
        assert_eq!(folder.read().unwrap().next, Some(next.public));
    }

    #[test]
    fn folder_with_one_wrong_file_is_refused() {
        for (file, exit, word) in [
            ("members/c2.txt", Exit::BadData, "no key file"),
            ("members/c2.key_secret", Exit::BadData, "does not belong here"),
            ("members/a b.key", Exit::BadData, "consists of"),
            ("members/forwarder.key", Exit::BadData, "does not belong here"),
            ("members/sleep.key", Exit::BadData, "reserved"),
            ("members/c2.key", Exit::BadData, "members/c2.key:1:1: this file has no public key"),
            ("forwarder.next.key", Exit::BadData, "no public key"),
        ] {
            let (_dir, folder, _) = folder(&["c1"]);
            fs::write(folder.0.join(file), "").unwrap();
            let refused = folder.read().unwrap_err();
            assert!(refused.exit == exit && refused.message.contains(word), "{file}: {refused}");
        }
        let (_dir, folder, _) = folder(&["c1"]);
        fs::copy(folder.member("c1"), folder.member("c2")).unwrap();
        let refused = folder.read().unwrap_err().message;
        assert!(refused.ends_with("members/c2.key has the same key as c1"), "{refused}");
        fs::copy(folder.public(FORWARDER), folder.member("c1")).unwrap();
        assert!(folder.read().unwrap_err().message.ends_with("as forwarder"));
        fs::remove_file(folder.public(FORWARDER)).unwrap();
        let refused = folder.read().unwrap_err();
        assert!(refused.exit == Exit::NoInput && refused.help.unwrap().contains("keys init"));
    }

    #[test]
    fn folder_names_of_keys_are_those_of_members() {
        for (name, id) in [("c1", "c1"), ("c1.2", "c1"), ("a.b", "a.b"), ("a.", "a."), ("v1.2.3", "v1.2")] {
            assert_eq!(id_of(name), id);
            assert_eq!(check_name(name).is_ok(), name == id, "{name}");
        }
        assert_eq!(check_name(ANY), Ok(()));
        for name in ["forwarder", "forwarder.next", "a/b", ""] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }
}
