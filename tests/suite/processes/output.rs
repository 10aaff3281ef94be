//! Output that cannot be written, and results of earlier runs.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::Duration;

use super::support::{partial, short};
use crate::harness::{Program, Stage, all_end, pause};

#[test]
fn output_standard_output_full_spares_the_results() {
    for (redirection, code) in [("exec \"$@\" >/dev/full", 74), ("exec \"$@\" >&-", 0)] {
        let stage = Stage::new();
        let mut programs: Vec<Program> = stage.middle(1).into();
        let mut c1 = stage.client("c1", short("c1")).through_shell(redirection).start();
        c1.ends(code);
        if code != 0 {
            c1.ends_saying(code, &["error: cannot write to standard output: "]);
        }
        all_end(&mut programs);
        assert_eq!(stage.lines("c1", "tom"), ["c1###1"]);
        assert_eq!(stage.files().len(), 3);
    }
}

#[test]
fn output_standard_error_full_is_harmless() {
    for redirection in ["exec \"$@\" 2>/dev/full", "exec \"$@\" 2>&-"] {
        let stage = Stage::new();
        let middle = [stage.forwarder(1), stage.router(), stage.sequencer(), stage.client("c1", short("c1"))];
        let mut programs: Vec<Program> =
            middle.into_iter().map(|launch| launch.through_shell(redirection).start()).collect();
        all_end(&mut programs);
        assert_eq!(stage.lines("c1", "tom"), ["c1###1"]);
    }
}

#[test]
fn output_closed_reader_is_no_failure() {
    let stage = Stage::new();
    let mut programs: Vec<Program> = stage.middle(1).into();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    programs.push(stage.client("c1", short("c1")).stdout(writer).start());
    all_end(&mut programs);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let (_, said) = stage.client("c2", short("c2").repeat(9999)).arg("--dry-run").stdout(writer).ends(0);
    assert_eq!(said, "");
}

#[test]
fn output_file_size_limit_is_an_error() {
    let stage = Stage::new();
    let _middle = stage.middle(1);
    let commands = format!("Multicast,c1,{}\n", "x".repeat(1000)).repeat(1000);
    let mut c1 = stage.client("c1", commands).through_shell("ulimit -f 8; exec \"$@\"").start();
    c1.ends_saying(74, &["error: cannot write ", ".part", "partial"]);
    assert!(partial(&stage, "c1").iter().all(|line| line.len() == 1005));
}

#[test]
fn results_of_earlier_run_survive_a_refusal() {
    let stage = Stage::new();
    let mut middle = stage.middle(1);
    let mut client = stage.client("c1", "Multicast,c1,x\nsleep,3\n").start();
    client.says("start of main");
    for join in [None, Some("--join")] {
        let mut other = stage.client("c1", "Multicast,c1,y\n").arg("--force").args(join).start();
        other.ends_saying(69, &["c1"]);
    }
    client.ends(0);
    middle.iter_mut().for_each(|program| program.ends(0));
    assert_eq!(stage.lines("c1", "tom"), ["c1###x"]);
    // Nobody is there: what an earlier run has left stays.
    let mut alone = stage.client("c1", "").args(["--force", "--timeout", "3s"]).start();
    assert_ne!(alone.wait(), 0);
    assert_eq!(stage.lines("c1", "tom"), ["c1###x"]);
    assert_eq!(stage.files().iter().filter(|file| file.contains("_c1")).count(), 3, "{:?}", stage.files());
}

#[test]
fn results_are_not_overwritten_unless_forced() {
    let stage = Stage::new();
    let run = |force: &str| {
        let mut programs: Vec<Program> = stage.middle(1).into();
        programs.push(stage.client("c1", short("c1")).args(force.split_whitespace()).start());
        all_end(&mut programs);
    };
    run("");
    let (_, said) = stage.client("c1", short("c1")).ends(73);
    assert!(said.contains("is there already") && said.contains("--force"), "{said}");
    run("--force");
    assert_eq!(stage.lines("c1", "tom"), ["c1###1"]);
    run("--force --no-history");
    assert_eq!(stage.files().len(), 2, "no history of another run beside these results");
}

/// Nobody is there to connect to, and yet each ends at once.
#[test]
fn results_folder_cannot_be_created_is_refused_before_connecting() {
    let stage = Stage::new();
    stage.file("file", "");
    symlink("loop", stage.dir().join("loop")).unwrap();
    for out in ["file", "file/below", "loop", "loop/below", "/proc/nothing"] {
        let (_, said) = stage.client("c1", short("c1")).out(out).ends(73);
        assert!(said.contains("error: "), "{said}");
    }
    fs::create_dir_all(stage.dir().join("taken/test_result_c1_uno.txt")).unwrap();
    stage.client("c1", short("c1")).out("taken").arg("--force").ends(73);
}

#[test]
fn output_few_file_descriptors_are_an_error() {
    let stage = Stage::new();
    let limit = "ulimit -n 48; exec \"$@\"";
    let mut programs = vec![stage.forwarder(2).through_shell(limit).start()];
    programs[0].says("listening");
    let flood: Vec<_> =
        (0..100).map(|_| std::net::TcpStream::connect(("127.0.0.1", stage.port(2)))).collect();
    programs.extend([stage.router().start(), stage.sequencer().start()]);
    programs.extend(["c1", "c2"].map(|id| stage.client(id, short(id)).start()));
    pause(Duration::from_millis(500));
    drop(flood);
    all_end(&mut programs);
    assert_eq!(stage.lines("c1", "tom"), stage.lines("c2", "tom"));
}
