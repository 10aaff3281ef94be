//! Key files on the disk: read with limits and only if a secret is kept, written whole and with their rights.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use super::certificate::Certificate;
use crate::exit::{Exit, Failure};
use crate::place::{Source, obstacle, shown, without_mark};

/// Most bytes of a key file.
const MOST_BYTES: u64 = 1 << 16;
/// The rights of all but the owner of a file.
const OF_OTHERS: u32 = 0o077;
/// The rights of a secret file.
pub(super) const SECRET: u32 = 0o600;
/// The rights of a public file.
pub(super) const PUBLIC: u32 = 0o644;

/// Returns a path for messages.
pub(super) fn name(path: &Path) -> String {
    shown(path.as_os_str().as_encoded_bytes())
}

/// Reads the file of a public key.
///
/// # Errors
/// [`Exit::NoInput`] if it cannot be read, [`Exit::BadData`] with the place of a mistake, or if the file has a secret
/// key: it would lie where others can see it.
pub(super) fn read_public(path: &Path) -> Result<Certificate, Failure> {
    let certificate = parse(&open(path)?.0)?;
    if certificate.secret.is_some() {
        let why = format!("{} has a secret key, and is read as the file of a public one", name(path));
        return Err(Failure::new(Exit::BadData, why).help(
            "the file whose name ends in .key has the public key alone; the secret key stays with its owner",
        ));
    }
    Ok(certificate)
}

/// Reads a file with a secret key.
///
/// # Errors
/// As [`read_public`]; [`Exit::Config`] if anybody but its owner may read it.
pub(super) fn read_secret(path: &Path) -> Result<Certificate, Failure> {
    let source = read_kept(path)?;
    let certificate = parse(&source)?;
    if certificate.secret.is_none() {
        let why = format!("{} has no secret key", source.name);
        return Err(Failure::new(Exit::BadData, why).help("the file whose name ends in .key_secret has it"));
    }
    Ok(certificate)
}

/// Reads a file that is for its owner alone.
///
/// # Errors
/// [`Exit::NoInput`] if it cannot be read; [`Exit::Config`] if anybody but its owner may read it.
pub(super) fn read_kept(path: &Path) -> Result<Source, Failure> {
    let (source, mode) = open(path)?;
    if mode & OF_OTHERS == 0 {
        return Ok(source);
    }
    let (name, mode) = (&source.name, mode & 0o777);
    let why =
        format!("cannot use the secret key in {name}: others have rights on the file (mode {mode:03o})");
    Err(Failure::new(Exit::Config, why).help(format!("chmod 600 {name}")))
}

fn parse(source: &Source) -> Result<Certificate, Failure> {
    Certificate::parse(&source.text).map_err(|flaw| source.failure(flaw))
}

/// Reads a file; returns it with its mode.
fn open(path: &Path) -> Result<(Source, u32), Failure> {
    let name = name(path);
    let read = || {
        // A pipe without a writer must not hold the program up.
        let nonblock = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
        let file = OpenOptions::new().read(true).custom_flags(nonblock).open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::other("it is no file"));
        }
        let mut text = Vec::new();
        file.take(MOST_BYTES + 1).read_to_end(&mut text)?;
        match text.len() as u64 {
            0..=MOST_BYTES => Ok((text, metadata.permissions().mode())),
            _ => Err(io::Error::other(format!("it has more than {MOST_BYTES} bytes, as no key file has"))),
        }
    };
    let (text, mode) =
        read().map_err(|error| Failure::new(Exit::NoInput, format!("cannot read {name}: {error}")))?;
    Ok((Source { name, text: without_mark(text.into()) }, mode))
}

/// Makes a folder that nobody else can look into, if it is not there.
///
/// # Errors
/// [`Exit::CannotCreate`].
pub(super) fn make_folder(dir: &Path) -> Result<(), Failure> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|error| {
        Failure::new(Exit::CannotCreate, format!("cannot create {}: {}", name(dir), obstacle(dir, &error)))
    })
}

/// Writes a file that is not there yet. A process that reads the folder meanwhile finds all of it or nothing.
///
/// # Errors
/// [`Exit::CannotCreate`], also if it is there.
pub(super) fn write_new(path: &Path, text: &str, mode: u32) -> Result<(), Failure> {
    let beside =
        path.with_file_name(format!(".{}.new", path.file_name().unwrap_or_default().to_string_lossy()));
    let write = || {
        let _ = fs::remove_file(&beside);
        let mut file: File = OpenOptions::new().write(true).create_new(true).mode(mode).open(&beside)?;
        // The mask of the process may have taken rights away from a public file.
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        // Unlike a rename, a link never replaces a file.
        fs::hard_link(&beside, path)
    };
    let written = write();
    let _ = fs::remove_file(&beside);
    written.map_err(|error| {
        let why = format!("cannot create {}: {error}", name(path));
        let failure = Failure::new(Exit::CannotCreate, why);
        match error.kind() {
            io::ErrorKind::AlreadyExists => failure.help("it is there, and a key is never replaced"),
            _ => failure,
        }
    })
}

/// Takes the rights of others on standard output away, if it is a file: a secret is about to be written there.
pub(super) fn keep_output() -> io::Result<()> {
    let output = io::stdout();
    let mode = rustix::fs::fstat(&output)?.st_mode;
    if rustix::fs::FileType::from_raw_mode(mode) == rustix::fs::FileType::RegularFile {
        rustix::fs::fchmod(&output, rustix::fs::Mode::from_raw_mode(SECRET))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::permit::Permit;
    use crate::transport::curve::KeyPair;

    #[test]
    fn files_with_a_secret_are_read_only_if_it_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let (secret, public) = (dir.path().join("c1.key_secret"), dir.path().join("c1.key"));
        let (pair, permit) = (KeyPair::new().unwrap(), Permit::new(&[], &[]));
        let certificate = Certificate::of_secret(&pair, permit.clone());
        write_new(&secret, &certificate.text(&[]), SECRET).unwrap();
        assert_eq!(read_secret(&secret), Ok(certificate.clone()));
        assert_eq!(read_public(&secret).unwrap_err().exit, Exit::BadData);
        for mode in [0o640, 0o604, 0o610, 0o602] {
            fs::set_permissions(&secret, fs::Permissions::from_mode(mode)).unwrap();
            let refused = read_secret(&secret).unwrap_err();
            assert_eq!(refused.exit, Exit::Config);
            assert!(refused.help.unwrap().starts_with("chmod 600 /"), "{}", refused.message);
        }
        let open = Certificate::of_public(pair.public, permit);
        write_new(&public, &open.text(&[]), PUBLIC).unwrap();
        assert_eq!(read_public(&public), Ok(open));
        fs::set_permissions(&public, fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(read_secret(&public).unwrap_err().exit, Exit::BadData);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "nothing is left beside them");
    }

    #[test]
    fn files_are_never_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.key");
        write_new(&path, "first", PUBLIC).unwrap();
        let refused = write_new(&path, "second", PUBLIC).unwrap_err();
        assert!(refused.exit == Exit::CannotCreate && refused.help.is_some(), "{refused}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "first");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, PUBLIC);
    }

    #[test]
    fn files_that_are_none_are_refused_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let long = dir.path().join("long");
        fs::write(&long, vec![b'#'; MOST_BYTES as usize + 1]).unwrap();
        for (path, word) in [
            (dir.path().join("nothing"), "No such file"),
            (dir.path().to_owned(), "is no file"),
            (long, "more than 65536 bytes"),
            ("/dev/null".into(), "is no file"),
        ] {
            let refused = read_public(&path).unwrap_err();
            assert!(refused.exit == Exit::NoInput && refused.message.contains(word), "{refused}");
        }
    }
}
