//! Command files through the real client: accepted or refused, with the place, before anything connects.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::Duration;

use super::support::short;
use crate::harness::{Program, Stage, all_end, now};

/// A file of `c1`, what is said about it at which place; nothing for one that is accepted.
const FILES: &[(&[u8], &str)] = &[
    (b"", ""),
    (b"# nothing\n\n", ""),
    (b"Multicast,c1,x\r\nsleep,0.5\r\n", ""),
    (b"\xef\xbb\xbfMulticast,c1,x", ""),
    (b"Multicast,c1,\xff\xfe\n", ""),
    (b"Multicast,c1,a\0b\n", ""),
    (b"Multicast,c1,\"two\nlines\"\n", ""),
    (b"Multicast,c1,x\nshout,c1,x\n", "2:1: this is a line of another client, `shout`"),
    (b"multicast,c1,x\n", "1:1: unknown operation `multicast`"),
    (b"Multicast,c1\n", "1:1: this operation has 3 fields, this line has 2"),
    (b"Multicast,c1,a,b\n", "1:16: this operation has 3 fields, this line has 4"),
    (b"sleep,1\nMulticast,c2,x\n", "2:11: this is a line of another client, `c2`"),
    (b"c1,c1,x\n", "1:4: a client does not send to itself"),
    (b"sleep,-1\n", "1:7: `-1` is not a number"),
    (b"sleep,soon\n", "1:7: `soon` is not a number"),
    (b"sleep,100000\n", "1:7: a sleep is longer than a day"),
    (b"Multicast,c1,\"x\n", "1:14: this quote is never closed"),
    (b"\xff\xfeM\0u\0", "1:1: this is UTF-16"),
];

#[test]
fn commands_dry_run_writes_nothing_and_needs_no_folder() {
    let stage = Stage::new();
    stage.file("c1.txt", "Multicast,c1,x\n");
    let client = || stage.bare("client").args(["--id", "c1", "--commands", "c1.txt"]);
    let (printed, said) = client().arg("--dry-run").ends(0);
    assert!(printed.contains("multicast  x") && said.is_empty(), "{printed}{said}");
    client().ends(64);
}

#[test]
fn commands_results_folder_cannot_be_created_error_names_obstacle() {
    let stage = Stage::new();
    stage.file("c1.txt", "Multicast,c1,x\n");
    symlink("nowhere", stage.dir().join("link")).unwrap();
    for (out, words) in [
        ("link", "cannot create link: it is a link to nowhere, which is not there"),
        ("c1.txt", "cannot create c1.txt: it is a file, not a folder"),
        ("c1.txt/below", "cannot create c1.txt/below: c1.txt is a file, not a folder"),
    ] {
        let client = stage.bare("client").args(["--id", "c1", "--commands", "c1.txt", "--out", out]);
        let (_, said) = client.ends(73);
        assert!(said.contains(words), "{said}");
    }
}

/// Nobody is there to connect to.
#[test]
fn commands_invalid_file_is_refused_before_connecting() {
    let stage = Stage::new();
    for &(file, message) in FILES {
        let client = || stage.client("c1", file);
        if message.is_empty() {
            client().arg("--dry-run").ends(0);
            continue;
        }
        for dry_run in [None, Some("--dry-run")] {
            let (result, said) = client().args(dry_run).ends(65);
            assert_eq!(result, "");
            assert!(
                said.starts_with(&format!("c1: error: {}/c1.txt:{message}", stage.dir().display())),
                "{said}"
            );
            assert!(said.contains(" --> ") && said.contains('^'), "{said}");
        }
    }
    assert!(stage.files().is_empty(), "and nothing is left behind");
}

#[test]
fn commands_unreadable_file_exits_with_no_input() {
    let stage = Stage::new();
    let secret = stage.file("secret", "");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o000)).unwrap();
    symlink("nothing", stage.dir().join("link")).unwrap();
    for (path, reason) in [(".", "Is a directory"), ("nothing", "No such file"), ("link", "No such file")] {
        let client = stage.program("client").args(["--id", "c1", "--commands", path, "--out", "out"]);
        let (_, said) = client.ends(66);
        assert!(said.contains(&format!("error: cannot read the commands {path}: {reason}")), "{said}");
    }
    // The superuser may read everything.
    if fs::read(&secret).is_err() {
        let client = stage.program("client").args(["--id", "c1", "--out", "out", "--commands"]);
        client.arg(&secret).ends(66);
    }
}

#[test]
fn commands_million_lines_are_checked() {
    let stage = Stage::new();
    let mut file = String::new();
    (0..1_000_000).for_each(|number| writeln!(file, "Multicast,c1,command {number}").unwrap());
    let began = now();
    let (result, _) = stage.client("c1", &file).arg("--dry-run").ends(0);
    assert!(began.elapsed() < Duration::from_secs(20));
    assert_eq!(result.lines().count(), 1_000_000);
    file.push_str("Multicast,c1");
    let (_, said) = stage.client("c1", &file).ends(65);
    assert!(said.contains("c1.txt:1000001:1: this operation has 3 fields"), "{said}");
}

#[test]
fn commands_unknown_receiver_is_shown() {
    let stage = Stage::new();
    let mut programs: Vec<Program> = stage.middle(2).into();
    let mut c1 = stage.client("c1", "Multicast,c1,a\nc1,c9,x\n").start();
    programs.push(stage.client("c2", short("c2")).start());
    c1.ends_saying(65, &["c1.txt:2:4: `c9` is not a member", "\n2 | c1,c9,x\n  |    ^^", "c1, c2"]);
    programs[0].says("c1 left the run");
    all_end(&mut programs);
}

#[test]
fn commands_from_standard_input() {
    let stage = Stage::new();
    let mut programs: Vec<Program> = stage.middle(1).into();
    let file = fs::File::open(stage.file("commands", "Multicast,c1,from afar\n")).unwrap();
    let client = |id: &str, file| {
        stage.program("client").args(["--id", id, "--commands", "-"]).out(stage.out()).stdin(file)
    };
    programs.push(client("c1", file).start());
    all_end(&mut programs);
    assert_eq!(stage.lines("c1", "tom"), ["c1###from afar"]);
    let (_, said) = client("c2", fs::File::open(stage.file("x", "say")).unwrap()).ends(65);
    assert!(said.contains("<stdin>:1:1: this is a line of another client, `say`"), "{said}");
}
