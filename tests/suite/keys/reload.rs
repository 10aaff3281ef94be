//! Keys that change in the middle of a run: added, revoked, replaced, and unreadable.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use groupcast::check::judge_folder;
use rustix::process::Signal;

use super::guarded::{Guarded, keys, pack};
use crate::harness::{Program, Stage, all_end, until};

/// The length of a run: enough to be in the middle of it for some seconds …
const BLOCKS: usize = 400;
/// … or for more.
const MANY_BLOCKS: usize = 1_000;

fn load(id: &str, blocks: usize) -> String {
    let block = |block: usize| {
        let lines: String =
            (0..8).map(|line| format!("Multicast,{id},{:0300}\n", block * 8 + line)).collect();
        lines + "sleep,0.02\n"
    };
    (0..blocks).map(block).collect()
}

/// A run under load.
struct Busy {
    guarded: Guarded,
    middle: Vec<Program>,
    clients: Vec<Program>,
    blocks: usize,
}

impl Busy {
    /// Members get their keys after the command `before` for them.
    fn new(ids: &[&str], host: &str, blocks: usize, before: Option<&[&str]>) -> Self {
        let guarded = Guarded::new(ids);
        let stage = &guarded.0;
        before.map(|words| keys(stage, words));
        ids.iter().for_each(|id| pack(stage, "keys", id, &format!("{id}.keys")));
        let (bind, connect) = (["--bind", host], ["--connect", host]);
        let middle = [
            stage.forwarder(ids.len()).args(bind),
            stage.router().args(bind),
            stage.sequencer().args(connect),
        ];
        let middle = middle.map(|launch| launch.args(["--keys", "keys"]).start()).into();
        let client = |id: &&str| {
            let client = stage.client(id, load(id, blocks)).args([
                "--suspect-after",
                "3s",
                "--keys",
                &format!("{id}.keys"),
            ]);
            client.args(connect).start()
        };
        let clients = ids.iter().map(client).collect();
        let busy = Self { guarded, middle, clients, blocks };
        for id in ids {
            let path = busy.stage().out().join(format!("test_result_{id}_tom.txt.part"));
            until(&format!("{id} delivers"), || (fs::metadata(&path).ok()?.len() > 20_000).then_some(()));
        }
        busy
    }

    fn stage(&self) -> &Stage {
        &self.guarded.0
    }

    /// Gives the client its keys anew, while it may be reading them.
    fn pack_again(&self, id: &str) {
        let (made, used) = (format!("{id}.keys.new"), format!("{id}.keys"));
        pack(self.stage(), "keys", id, &made);
        fs::rename(self.stage().dir().join(made), self.stage().dir().join(used)).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.stage().dir().join("keys").join(name)
    }

    /// The forwarder and the router say these words.
    fn say(&mut self, word: &str) {
        self.middle[..2].iter_mut().for_each(|program| program.says(word));
    }

    /// All that are left end well, and these clients have everything of one another.
    fn end(mut self, ids: &[&str]) {
        all_end(&mut self.middle);
        for (client, id) in self.clients.iter_mut().zip(["c1", "c2", "c3"]) {
            client.ends(if ids.contains(&id) { 0 } else { 77 });
        }
        let stage = self.stage();
        let lines = stage.lines(ids[0], "tom");
        for id in ids {
            let of_id = lines.iter().filter(|line| line.starts_with(&format!("{id}###"))).count();
            assert_eq!(of_id, self.blocks * 8, "of {id}");
            assert!(lines == stage.lines(id, "tom"), "{id} has others");
        }
        for judgement in judge_folder(&stage.out(), stage.dir()).unwrap() {
            for (property, verdict) in judgement.properties() {
                assert!(!verdict.is_violated(), "{property}");
            }
        }
    }
}

#[test]
fn keys_revoked_in_mid_run_end_their_member_alone() {
    let mut busy = Busy::new(&["c1", "c2", "c3"], "127.0.0.1", BLOCKS, None);
    keys(busy.stage(), &["revoke", "keys", "c3"]);
    busy.say("keys read again: 1 no longer");
    busy.clients[2].ends_saying(77, &["does not accept the key"]);
    busy.end(&["c1", "c2"]);
}

#[test]
fn keys_of_the_forwarder_replaced_in_mid_run_lose_nothing() {
    // Members that have both keys from the start …
    let mut busy = Busy::new(&["c1", "c2"], "127.0.0.1", BLOCKS, Some(&["rotate", "keys"]));
    for id in ["c1", "c2"] {
        fs::remove_file(busy.stage().dir().join(format!("{id}.keys"))).unwrap();
    }
    keys(busy.stage(), &["rotate", "keys", "--finish"]);
    busy.say("keys read again: the forwarder's is now ");
    busy.end(&["c1", "c2"]);
    // … and such as find the next one in their file when they need it, where the ports are files, too.
    let mut busy = Busy::new(&["c1", "c2"], "ipc://socket", BLOCKS, None);
    keys(busy.stage(), &["rotate", "keys"]);
    busy.say("keys read again: the next key of the forwarder is there");
    ["c1", "c2"].iter().for_each(|id| busy.pack_again(id));
    keys(busy.stage(), &["rotate", "keys", "--finish"]);
    busy.middle[..2].iter_mut().for_each(|program| program.signal(Signal::HUP));
    busy.say("keys read again: the forwarder's is now ");
    busy.end(&["c1", "c2"]);
}

#[test]
fn keys_that_cannot_be_read_again_leave_those_from_before_in_force() {
    let mut busy = Busy::new(&["c1", "c2"], "127.0.0.1", MANY_BLOCKS, None);
    busy.stage().file("keys/members/c9.key", "nonsense");
    busy.say("cannot read the keys again: keys/members/c9.key:1:9: ");
    fs::remove_file(busy.path("members/c9.key")).unwrap();
    busy.say("keys read again: nothing has changed");
    fs::rename(busy.path("members"), busy.path("elsewhere")).unwrap();
    busy.say("cannot read the keys again: cannot read keys/members: ");
    fs::rename(busy.path("elsewhere"), busy.path("members")).unwrap();
    fs::set_permissions(busy.path("forwarder.key_secret"), Permissions::from_mode(0o644)).unwrap();
    busy.say("others have rights on the file");
    // All of the folder is gone, and comes back with one more.
    fs::rename(busy.path(""), busy.stage().dir().join("gone")).unwrap();
    busy.say("cannot read the keys again: cannot read keys/forwarder.key: ");
    fs::rename(busy.stage().dir().join("gone"), busy.path("")).unwrap();
    fs::set_permissions(busy.path("forwarder.key_secret"), Permissions::from_mode(0o600)).unwrap();
    keys(busy.stage(), &["add", "keys", "c9"]);
    busy.say("keys read again: 1 accepted that was not");
    let said = busy.middle[0].stderr();
    assert_eq!(said.matches("cannot read the keys again: keys/members/c9.key").count(), 1, "{said}");
    busy.end(&["c1", "c2"]);
}

#[test]
fn keys_are_read_at_sighup_which_ends_programs_without_keys() {
    let guarded = Guarded::new(&["c1"]);
    let stage = &guarded.0;
    let mut middle = Vec::from(guarded.middle(1));
    middle[0].says("with keys");
    middle[1].says("listening");
    for program in &mut middle[..2] {
        program.signal(Signal::HUP);
        program.says("keys read again: nothing has changed");
    }
    // A member whose key is added after the start is let in.
    keys(stage, &["revoke", "keys", "c1"]);
    middle[..2].iter_mut().for_each(|program| program.signal(Signal::HUP));
    middle[..2].iter_mut().for_each(|program| program.says("1 no longer"));
    keys(stage, &["add", "keys", "c1"]);
    middle[..2].iter_mut().for_each(|program| program.says("1 accepted that was not"));
    guarded.client("c1", "keys").ends(0);
    all_end(&mut middle);
    let plain = Stage::new();
    for launch in [plain.forwarder(1), plain.router()] {
        let mut program = launch.start();
        program.says("listening");
        program.signal(Signal::HUP);
        program.ends(129);
    }
}
