//! A stage with keys.

use std::fs;

use groupcast::transport::address::Site;
use groupcast::transport::curve::{KeyPair, PublicKey, SecretKey};
use groupcast::transport::keyring::{Credential, Keyring};
use groupcast::transport::z85;
use groupcast::transport::zmq::Context;

use crate::harness::{Launch, Program, Stage};

/// A stage with a folder of keys of its members, and the programs in the middle with keys.
pub(super) struct Guarded(pub(super) Stage);

impl Guarded {
    pub(super) fn new(ids: &[&str]) -> Self {
        let stage = Stage::new();
        keys(&stage, &["init", "keys"]);
        keys(&stage, &[&["add", "keys"], ids].concat());
        keys(&stage, &["add", "keys", "sequencer", "--role", "sequencer"]);
        Self(stage)
    }

    pub(super) fn middle(&self, clients: usize) -> [Program; 3] {
        let stage = &self.0;
        [stage.forwarder(clients), stage.router(), stage.sequencer()]
            .map(|launch| launch.args(["--keys", "keys"]).start())
    }

    pub(super) fn client(&self, id: &str, keys: &str) -> Launch<'_> {
        let direct = if id == "c2" { "c2,c1,z\n" } else { "" };
        let commands = format!("Multicast,{id},x\nMulticast,{id},y\n{direct}");
        self.0.client(id, commands).args(["--keys", keys])
    }
}

/// Runs `groupcast keys` with these words; what it printed.
pub(super) fn keys(stage: &Stage, words: &[&str]) -> String {
    stage.bare("groupcast").arg("keys").args(words).ends(0).0
}

/// Makes the file of one member.
pub(super) fn pack(stage: &Stage, folder: &str, id: &str, to: &str) {
    let pack = stage.bare("groupcast").args(["keys", "pack", folder, id]);
    pack.through_shell(&format!("exec \"$@\" > {to}")).ends(0);
}

/// The sockets of a process that proves the key in a packed file.
pub(super) fn with_keys(stage: &Stage, file: &str) -> Context {
    let text = fs::read_to_string(stage.dir().join(file)).unwrap();
    // The last lines are those of the forwarder's key.
    let key = |name: &str, at: usize| {
        let mut lines = text.lines().filter(|line| line.trim_start().starts_with(name));
        z85::decode(lines.nth(at).unwrap().split('"').nth(1).unwrap().as_bytes()).unwrap()
    };
    let (public, secret) = (PublicKey(key("public-key", 0)), SecretKey(key("secret-key", 0)));
    let forwarder = PublicKey(key("public-key", 1));
    let known = vec![Credential { own: KeyPair { public, secret }, forwarder }];
    Context::with_keys(Keyring::new(known, Box::new(|| None)))
}

/// The address of the programs in the middle.
pub(super) fn middle_of(stage: &Stage) -> Site {
    Site { host: "127.0.0.1".to_owned(), port_base: stage.port(0) }
}
