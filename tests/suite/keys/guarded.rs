//! A stage with keys.

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
