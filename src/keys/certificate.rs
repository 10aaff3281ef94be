//! One key file, as CZMQ and pyzmq write and read it: a public key, in a secret file also its secret one, and metadata.
//!
//! ```text
//! metadata
//!     groups = "red,blue"
//!     roles = "client"
//! curve
//!     public-key = "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID"
//! ```
//!
//! A file for a member, which `groupcast keys pack` makes, also has the keys of the forwarders, in a section of ours.

use super::permit::{Part, Permit};
use super::zpl::{self, Entry};
use crate::nearest::nearest;
use crate::place::{Flaw, quoted};
use crate::transport::curve::{KeyPair, PublicKey, SecretKey};
use crate::transport::z85::{self, KEY_LETTERS};

/// The section of the keys, and their names in it.
const CURVE: (&str, &str, &str) = ("curve", "public-key", "secret-key");
/// The section of the forwarders' keys: the present one, and one that takes its place in a while.
const FORWARDER: (&str, [&str; 2]) = ("forwarder", ["public-key", "next-key"]);
/// The section of the permission, and its lists.
const METADATA: (&str, [&str; 2]) = ("metadata", ["groups", "roles"]);

/// A key file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Certificate {
    pub(super) public: PublicKey,
    pub(super) secret: Option<SecretKey>,
    pub(super) permit: Permit,
    /// The keys of the forwarders, in a file for a member.
    pub(super) forwarders: Vec<PublicKey>,
}

impl Certificate {
    /// Returns the file of a public key.
    pub(super) fn of_public(public: PublicKey, permit: Permit) -> Self {
        Self { public, secret: None, permit, forwarders: Vec::new() }
    }

    /// Returns the file of a secret key.
    pub(super) fn of_secret(pair: &KeyPair, permit: Permit) -> Self {
        Self { secret: Some(pair.secret.clone()), ..Self::of_public(pair.public, permit) }
    }

    /// Parses a key file.
    ///
    /// # Errors
    /// The first mistake.
    pub(super) fn parse(file: &[u8]) -> Result<Self, Flaw> {
        let entries = zpl::parse(file)?;
        // The last one counts, as for others that read such files.
        let find = |section: &str, name: &str| {
            entries.iter().rev().find(|entry| (entry.section, entry.name) == (section, name))
        };
        let (section, public, secret) = CURVE;
        let Some(public_entry) = find(section, public) else {
            let end = file.len();
            return Err(Flaw::new(end..end, "this file has no public key").help(format!(
                "it needs a section `{section}` and in it, indented, {public} = \"…\", as `groupcast keys` writes it"
            )));
        };
        let public = PublicKey(key(public_entry)?);
        let secret = find(section, secret).map(|entry| belonging(entry, public)).transpose()?;
        let forwarders = FORWARDER.1.iter().filter_map(|name| find(FORWARDER.0, name));
        let forwarders = forwarders.map(|entry| key(entry).map(PublicKey)).collect::<Result<_, _>>()?;
        Ok(Self { public, secret, permit: permit(&entries)?, forwarders })
    }

    /// Returns the text of the file, after comments that say what it is.
    pub(super) fn text(&self, comments: &[&str]) -> String {
        let mut text: String = comments.iter().map(|line| format!("# {line}\n")).collect();
        let (groups, roles) = (self.permit.groups(), self.permit.roles());
        let lists = METADATA.1.into_iter().zip([groups.as_deref(), Some(&roles)]);
        let lists: Vec<_> = lists.filter_map(|(name, list)| Some((name, list?))).collect();
        zpl::write(&mut text, METADATA.0, &lists);
        let (section, public_name, secret_name) = CURVE;
        let (public, secret) = (self.public.to_string(), self.secret.as_ref().map(SecretKey::text));
        let mut keys = vec![(public_name, &*public)];
        keys.extend(secret.as_deref().map(|secret| (secret_name, secret)));
        zpl::write(&mut text, section, &keys);
        if !self.forwarders.is_empty() {
            let keys: Vec<String> = self.forwarders.iter().map(PublicKey::to_string).collect();
            let keys: Vec<_> = FORWARDER.1.into_iter().zip(keys.iter().map(String::as_str)).collect();
            zpl::write(&mut text, FORWARDER.0, &keys);
        }
        text
    }
}

/// Returns the permission in the metadata. Other names are those of other programs, unless they look like ours: a list
/// that is not found permits more than was meant.
fn permit(entries: &[Entry<'_>]) -> Result<Permit, Flaw> {
    let (section, names) = METADATA;
    let mut found: [Option<&Entry<'_>>; 2] = [None; 2];
    for entry in entries.iter().filter(|entry| entry.section == section) {
        match (names.iter().position(|name| *name == entry.name), nearest(entry.name, names)) {
            (Some(at), _) => found[at] = Some(entry),
            (None, Some(meant)) => {
                let what = format!("unknown name {}", quoted(entry.name.as_bytes()));
                return Err(Flaw::new(entry.name_span.clone(), what).help(format!("did you mean `{meant}`?")));
            }
            (None, None) => {}
        }
    }
    let [groups, roles] = found;
    Permit::parse(groups.map(|entry| entry.value), roles.map(|entry| entry.value)).map_err(|(part, why)| {
        let entry = if part == Part::Groups { groups } else { roles };
        Flaw::new(entry.map_or(0..0, |entry| entry.span.clone()), why)
    })
}

/// Returns the key that is a value.
pub(super) fn key(entry: &Entry<'_>) -> Result<[u8; z85::KEY_BYTES], Flaw> {
    z85::decode(entry.value.as_bytes()).map_err(|at| {
        let (place, length) = (entry.span.start + at, entry.value.len());
        match entry.value.get(at..).and_then(|rest| rest.chars().next()) {
            Some(letter) if at < KEY_LETTERS => {
                let why = format!("here is no letter of a key: {}", quoted(letter.to_string().as_bytes()));
                Flaw::new(place..place + letter.len_utf8(), why)
            }
            _ => Flaw::new(place..place, format!("a key has {KEY_LETTERS} letters, this one {length}")),
        }
    })
}

/// Returns the secret key that is a value, and belongs to a public one.
fn belonging(entry: &Entry<'_>, public: PublicKey) -> Result<SecretKey, Flaw> {
    let secret = SecretKey(key(entry)?);
    match secret.public() {
        Some(other) if other != public => {
            let why = "this secret key does not belong to the public key of the file";
            Err(Flaw::new(entry.span.clone(), why).help("take the file as it was made, or make a new key"))
        }
        _ => Ok(secret),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::permit::Role;

    /// A secret file in the form of pyzmq, with the pair of the manual of zmq_curve.
    const PYZMQ: &str = "\
#   ****  Generated on 2026-11-28 12:00:00 by pyzmq  ****
#   ZeroMQ CURVE **Secret** Certificate

metadata
    name = c1
curve
    public-key = \"Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID\"
    secret-key = \"D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs\"
";

    fn flaw(text: &str) -> (Flaw, String) {
        let flaw = Certificate::parse(text.as_bytes()).unwrap_err();
        let marked = text[flaw.span.clone()].to_owned();
        (flaw, marked)
    }

    #[test]
    fn certificate_of_pyzmq_is_read() {
        let read = Certificate::parse(PYZMQ.as_bytes()).unwrap();
        assert_eq!(read.public.to_string(), "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID");
        assert_eq!(read.secret.as_ref().and_then(SecretKey::public), Some(read.public));
        assert_eq!(read.permit, Permit::new(&[], &[]));
        assert_eq!(read.forwarders, []);
    }

    #[test]
    fn certificate_is_read_as_it_was_written() {
        let (pair, other) = (KeyPair::new().unwrap(), KeyPair::new().unwrap());
        let permit = Permit::new(&["red".into(), "blue".into()], &[Role::Client, Role::Standby]);
        for certificate in [
            Certificate::of_public(pair.public, Permit::new(&[], &[])),
            Certificate::of_secret(&pair, permit.clone()),
            Certificate {
                forwarders: vec![other.public, pair.public],
                ..Certificate::of_secret(&pair, permit)
            },
        ] {
            let text = certificate.text(&["of c1", ""]);
            assert_eq!(Certificate::parse(text.as_bytes()).unwrap(), certificate, "{text}");
            let is_secret = certificate.secret.is_some();
            assert_eq!(text.contains(&pair.secret.text()), is_secret, "{text}");
        }
    }

    #[test]
    fn certificate_mistakes_have_their_place() {
        let (found, _) = flaw("metadata\n    roles = client\n");
        assert!(found.message.contains("no public key"), "{found:?}");
        for (from, to, marked, word) in [
            ("Yne@", "Yne~", "~", "no letter of a key"),
            ("Yne@", "Yne", "", "has 40 letters, this one 39"),
            ("Yne@", "Yne@0", "", "has 40 letters, this one 41"),
            ("D:)Q", "D:)R", "D:)R[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs", "does not belong"),
            ("name = c1", "group = c1", "group", "unknown name"),
            ("name = c1", "roles = \"client, boss\"", "client, boss", "unknown word"),
            ("name = c1", "groups = \"a/b\"", "a/b", "letters A-Z"),
        ] {
            let (flaw, found) = flaw(&PYZMQ.replacen(from, to, 1));
            assert!(found == marked && flaw.message.contains(word), "{to}: {found:?} {flaw:?}");
        }
    }
}
