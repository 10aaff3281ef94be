//! `groupcast keys check --connect`: why a member is let in at each port, or is not.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use super::guarded::{Guarded, keys, pack};
use crate::harness::{Stage, all_end};

/// The words about each port that `check` prints, in the order of the ports, after the flags `words`.
fn check(stage: &Stage, words: &[&str], code: i32) -> Vec<String> {
    let check = stage.bare("groupcast").args(["keys", "check"]).args(words).arg("--connect");
    let (printed, _) = check.arg(format!("127.0.0.1:{}", stage.port(0))).ends(code);
    let words = |(name, line): (&str, &str)| {
        let rest = line.strip_prefix(name).unwrap_or_else(|| panic!("{name} in {printed}"));
        rest.trim_start().split_once("  ").unwrap().1.to_owned()
    };
    let lines = printed.lines().skip(1);
    let words: Vec<String> = ["in", "out", "sync", "router"].into_iter().zip(lines).map(words).collect();
    assert_eq!(words.len(), 4, "{printed}");
    words
}

#[test]
fn keys_check_tells_why_each_port_lets_a_member_in_or_not() {
    let guarded = Guarded::new(&["c1", "c2"]);
    let stage = &guarded.0;
    pack(stage, "keys", "c2", "c2.keys");
    assert!(check(stage, &["keys"], 69)[..3].iter().all(|words| words == "nobody is there"));
    let mut middle = Vec::from(guarded.middle(1));
    middle[..2].iter_mut().for_each(|program| program.says("listening"));
    assert_eq!(check(stage, &["keys"], 0), ["ok"; 4]);
    assert_eq!(check(stage, &["keys", "--id", "c1"], 0), ["ok"; 4]);
    assert_eq!(check(stage, &["c2.keys"], 0), ["ok"; 4]);
    // The next key of the forwarder is not in use yet, and the present one is; after the rotation, the old pack is wrong.
    keys(stage, &["revoke", "keys", "c2"]);
    keys(stage, &["rotate", "keys"]);
    pack(stage, "keys", "c1", "c1.keys");
    middle[..2].iter_mut().for_each(|program| program.says("1 no longer"));
    for words in check(stage, &["c2.keys"], 77) {
        assert!(words.starts_with("does not accept this key"), "{words}");
    }
    keys(stage, &["rotate", "keys", "--finish"]);
    middle[..2].iter_mut().for_each(|program| program.says("the forwarder's is now"));
    assert_eq!(check(stage, &["c1.keys"], 0), ["ok"; 4], "it has both");
    for words in check(stage, &["c2.keys"], 77) {
        assert!(words.starts_with("has another key than"), "{words}");
    }
    fs::set_permissions(stage.dir().join("c2.keys"), Permissions::from_mode(0o644)).unwrap();
    let check = stage.bare("groupcast").args(["keys", "check", "c2.keys", "--connect", "127.0.0.1"]);
    assert!(check.ends(78).1.contains("chmod 600 c2.keys"));
    guarded.client("c1", "keys").ends(0);
    all_end(&mut middle);
}

#[test]
fn keys_check_knows_a_forwarder_without_keys_and_one_without_a_router() {
    let guarded = Guarded::new(&["c1"]);
    let stage = &guarded.0;
    let mut forwarder = stage.forwarder(1).start();
    forwarder.says("listening");
    let found = check(stage, &["keys", "--id", "c1"], 77);
    assert_eq!(found[..3], ["uses no keys"; 3]);
    assert!(found[3].starts_with("nobody is there; only clients that send direct messages"), "{found:?}");
    forwarder.kill();
    let mut forwarder = stage.forwarder(1).args(["--keys", "keys"]).start();
    forwarder.says("with keys");
    assert_eq!(check(stage, &["keys", "--id", "c1"], 0)[..3], ["ok"; 3]);
}
