//! `groupcast keys`: what it makes, what it refuses, and that pyzmq has the same files.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::harness::Stage;

/// Runs `groupcast keys` with these words; what it printed, or its complaint.
fn keys(stage: &Stage, line: &str, code: i32) -> String {
    let (printed, said) = stage.bare("groupcast").arg("keys").args(line.split(' ')).ends(code);
    if code == 0 { printed } else { said }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// The value of a name in a key file.
fn value(text: &str, name: &str) -> String {
    let line = text.lines().find_map(|line| line.trim().strip_prefix(name)?.trim().strip_prefix('='));
    line.unwrap_or_else(|| panic!("{name} in {text}")).trim().trim_matches('"').to_owned()
}

#[test]
fn keys_are_made_listed_packed_and_revoked() {
    let stage = Stage::new();
    let path = |name: &str| stage.dir().join("keys").join(name);
    keys(&stage, "init keys", 0);
    assert_eq!(mode(&path("")), 0o700);
    assert_eq!([mode(&path("forwarder.key")), mode(&path("forwarder.key_secret"))], [0o644, 0o600]);
    let said = keys(&stage, "add keys c1 c2 --group red,blue --role client,standby", 0);
    assert!(said.contains("c2.key_secret is for c2 alone"), "{said}");
    keys(&stage, "add keys +", 0);
    keys(&stage, "add keys c1 --another", 0);
    let listed = keys(&stage, "check keys", 0);
    let names: Vec<&str> = listed.lines().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(names, ["forwarder", "+", "c1", "c1.2", "c2"], "{listed}");
    assert!(listed.contains("client, standby of blue, red; its secret is here"), "{listed}");

    let public = fs::read_to_string(path("members/c1.key")).unwrap();
    assert!(!public.contains("secret-key"), "{public}");
    let pack = stage.bare("groupcast").args(["keys", "pack", "keys", "c1"]);
    pack.through_shell("exec \"$@\" > c1.keys").ends(0);
    let pack = stage.dir().join("c1.keys");
    assert_eq!(mode(&pack), 0o600, "the shell gave others rights on it");
    let packed = fs::read_to_string(&pack).unwrap();
    assert_eq!(value(&packed, "public-key"), value(&public, "public-key"));
    let (_, forwarder) = packed.split_once("\nforwarder\n").unwrap();
    let known = fs::read_to_string(path("forwarder.key")).unwrap();
    assert_eq!(value(forwarder, "public-key"), value(&known, "public-key"));
    keys(&stage, "check c1.keys", 0);

    let said = keys(&stage, "revoke keys c1", 0);
    assert!(said.contains("c1 and c1.2"), "{said}");
    assert!(!path("members/c1.2.key").exists() && !path("c1.key_secret").exists());
    assert!(keys(&stage, "revoke keys c1", 66).contains("c1 has no key"));
    assert_eq!(keys(&stage, "check keys", 0).lines().count(), 3);
}

#[test]
fn keys_are_not_replaced_and_bad_folders_are_refused() {
    let stage = Stage::new();
    assert!(keys(&stage, "add keys c1", 66).contains("groupcast keys init keys"));
    keys(&stage, "init keys", 0);
    keys(&stage, "add keys c1", 0);
    assert!(keys(&stage, "init keys", 73).contains("a key is never replaced"));
    assert!(keys(&stage, "add keys c2 c1", 73).contains("c1 has a key already"));
    for id in ["forwarder", "c1.2", "a/b", "sleep"] {
        keys(&stage, &format!("add keys {id}"), 64);
    }
    assert!(
        keys(&stage, "add keys c2 --role boss", 64).contains("client, sequencer, standby, router, observer")
    );
    let secret = stage.dir().join("keys/c1.key_secret");
    fs::set_permissions(&secret, Permissions::from_mode(0o644)).unwrap();
    for line in ["check keys", "pack keys c1"] {
        let said = keys(&stage, line, 78);
        assert!(said.contains("(mode 644)") && said.contains("help: chmod 600 keys/c1.key_secret"), "{said}");
    }
    stage.file("keys/members/c3.key", "curve\n    public-key = \"short\"\n");
    let said = keys(&stage, "check keys", 65);
    assert!(said.contains("keys/members/c3.key:2:24: a key has 40 letters, this one 5"), "{said}");
    // A wrong file in the folder does not keep a key in it.
    keys(&stage, "revoke keys c1", 0);
}

#[test]
fn keys_of_the_forwarder_rotate_in_two_steps() {
    let stage = Stage::new();
    let text = |name: &str| fs::read_to_string(stage.dir().join("keys").join(name)).unwrap();
    keys(&stage, "init keys", 0);
    keys(&stage, "add keys c1", 0);
    let first = value(&text("forwarder.key"), "public-key");
    assert!(keys(&stage, "rotate keys --finish", 66).contains("no next key"));
    keys(&stage, "rotate keys", 0);
    assert!(keys(&stage, "rotate keys", 73).contains("--finish"));
    let next = value(&text("forwarder.next.key"), "public-key");
    let packed = keys(&stage, "pack keys c1", 0);
    let (_, forwarder) = packed.split_once("\nforwarder\n").unwrap();
    assert_eq!((value(forwarder, "public-key"), value(forwarder, "next-key")), (first, next.clone()));
    // It was interrupted between its two steps.
    let path = |name: &str| stage.dir().join("keys").join(name);
    fs::rename(path("forwarder.next.key_secret"), path("forwarder.key_secret")).unwrap();
    keys(&stage, "rotate keys --finish", 0);
    assert_eq!(value(&text("forwarder.key"), "public-key"), next);
    assert!(keys(&stage, "check keys", 0).starts_with("forwarder  "));
    assert!(!path("forwarder.next.key").exists());
}

/// Makes a key by pyzmq in the folder, and prints what pyzmq reads of ours.
const PYZMQ: &str = "\
import sys, zmq.auth
zmq.auth.create_certificates('.', 'theirs')
for part in zmq.auth.load_certificate(sys.argv[1]): print(part.decode())
";

#[test]
fn keys_are_those_of_pyzmq() {
    let stage = Stage::new();
    keys(&stage, "init keys", 0);
    keys(&stage, "add keys c1", 0);
    let mut python = Command::new("python3");
    python.args(["-c", PYZMQ, "keys/c1.key_secret"]).current_dir(stage.dir());
    let Some(output) = python.output().ok().filter(|output| output.status.success()) else {
        eprintln!("skipped, because there is no python3 with zmq");
        return;
    };
    let ours = fs::read_to_string(stage.dir().join("keys/c1.key_secret")).unwrap();
    let read = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = read.lines().collect();
    assert_eq!(lines, [value(&ours, "public-key"), value(&ours, "secret-key")]);
    keys(&stage, "add keys c2 --public theirs.key", 0);
    assert!(keys(&stage, "add keys c3 --public theirs.key", 65).contains("has the key of c2"));
    assert!(keys(&stage, "add keys c3 --public theirs.key_secret", 65).contains("has a secret key"));
    let theirs = fs::read_to_string(stage.dir().join("theirs.key")).unwrap();
    let known = fs::read_to_string(stage.dir().join("keys/members/c2.key")).unwrap();
    assert_eq!(value(&theirs, "public-key"), value(&known, "public-key"));
}
