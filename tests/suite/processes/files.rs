//! Files that cannot be written: a full disk, a limit, a folder that is gone. The program ends with 73 or 74 and the
//! name of the file, and what it had written before is whole.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::harness::{Program, Stage, all_end, forget_variables, lines, until};

/// A folder on a disk of its own, which a mount namespace keeps to one command.
const SMALL_DISK: &str = "mkdir -p small && mount -t tmpfs -o size=64k tmpfs small";

/// Whether this process may mount in a namespace of its own; if not, what needs it is left out, and says so.
fn may_mount() -> bool {
    let mut probe = Command::new("unshare");
    probe.args(["--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]).stderr(Stdio::null());
    let may = probe.status().is_ok_and(|status| status.success());
    if !may {
        eprintln!("left out: a disk of its own takes root, and unshare");
    }
    may
}

/// `groupcast` in `folder`, through a shell that runs `before` first.
fn groupcast(folder: &Path, before: &str, arguments: &str) -> Output {
    let script = format!("{before}\nexec \"$0\" {arguments}");
    let mut command = Command::new(if before.contains("mount") { "unshare" } else { "env" });
    if before.contains("mount") {
        command.arg("--mount");
    }
    forget_variables(&mut command);
    command.args(["sh", "-c", &script, env!("CARGO_BIN_EXE_groupcast")]);
    command.current_dir(folder).stdin(Stdio::null()).output().unwrap()
}

fn said(output: &Output, code: i32) -> String {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{said}{}", String::from_utf8_lossy(&output.stdout));
    assert!(!said.contains("panicked"), "{said}");
    said
}

fn testdata(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(name).display().to_string()
}

/// One large multicast after the other.
fn much(id: &str) -> String {
    format!("Multicast,{id},{}\nsleep,0.02\n", "x".repeat(1000)).repeat(200)
}

/// `groupcast check` judges the run as unfinished, and finds nothing violated.
fn is_readable(results: &Path) {
    let dir = results.display();
    let output = groupcast(results, "", &format!("check '{dir}'"));
    assert!(matches!(output.status.code(), Some(0 | 2)), "{output:?}");
}

#[test]
fn files_disk_full_ends_client_and_keeps_whole_lines() {
    if !may_mount() {
        return;
    }
    let stage = Stage::new();
    let _middle = stage.middle(1);
    // The namespace goes with the client, and the small disk with it: what is on it is saved before.
    let script = format!("{SMALL_DISK} && \"$@\"; code=$?; cp -r small kept; exit $code");
    let script = format!("exec unshare --mount sh -c '{script}' sh \"$@\"");
    let mut c1 = stage.client("c1", much("c1")).out("small/out").through_shell(&script).start();
    c1.ends_saying(
        74,
        &["error: cannot write small/out/", ".part: No space left", "the lines that were written"],
    );
    let results = stage.dir().join("kept/out");
    let delivered = lines(&results.join("test_result_c1_tom.txt.part"));
    assert!(delivered.iter().all(|line| line.len() == 1005));
    // The file that took the last of the room is another one in each run.
    assert!(!delivered.is_empty() || !lines(&results.join("history_c1.jsonl.part")).is_empty());
    is_readable(&results);
}

#[test]
fn files_results_removed_in_mid_run_fail_at_the_end() {
    for folder in [true, false] {
        let stage = Stage::new();
        let mut programs: Vec<Program> = stage.middle(2).into();
        let commands = |id| format!("Multicast,{id},1\nsleep,2\nMulticast,{id},2\n");
        let [mut c1, c2] =
            ["c1", "c2"].map(|id| stage.client(id, commands(id)).out(stage.out().join(id)).start());
        let part = stage.out().join("c1/test_result_c1_tom.txt.part");
        until("c1 has delivered", || fs::read(&part).ok().filter(|text| !text.is_empty()));
        if folder {
            fs::remove_dir_all(stage.out().join("c1")).unwrap();
        } else {
            fs::remove_file(&part).unwrap();
        }
        c1.ends_saying(74, &["error: cannot write ", "test_result_c1_tom.txt.part", "it was removed"]);
        programs.push(c2);
        all_end(&mut programs);
        assert_eq!(lines(&stage.out().join("c2/test_result_c2_tom.txt")).len(), 4, "the other has all");
    }
}

#[test]
fn files_read_only_folder_is_named() {
    if !may_mount() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("c1.txt"), "Multicast,c1,x\n").unwrap();
    let read_only = "mkdir -p small && mount -t tmpfs -o ro tmpfs small";
    for (arguments, name) in [
        (format!("diagram {} -o small/x.svg", testdata("traced")), "small/x.svg"),
        ("man small/man".to_owned(), "small/man"),
    ] {
        let said = said(&groupcast(dir.path(), read_only, &arguments), 73);
        assert!(said.contains("Read-only file system") && said.contains(name), "{said}");
    }
    let output = groupcast(dir.path(), &format!("{read_only}; cd small"), "run ..");
    assert!(said(&output, 73).contains("cannot create runs"), "{output:?}");
}

#[test]
fn files_picture_is_written_whole_or_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let diagram =
        |before: &str| groupcast(dir.path(), before, &format!("diagram {} -o run.html", testdata("traced")));
    said(&diagram(""), 0);
    let whole = fs::read(dir.path().join("run.html")).unwrap();
    let said = said(&diagram("ulimit -f 8"), 74);
    assert!(said.contains("cannot write run.html.part: File too large"), "{said}");
    assert!(fs::read(dir.path().join("run.html")).unwrap() == whole, "the earlier one is as it was");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "half a picture stays nowhere");
}

#[test]
fn files_standard_output_full_is_an_error_of_every_tool() {
    let dir = tempfile::tempdir().unwrap();
    let swapped = testdata("check/swapped");
    for tool in [
        format!("check {swapped}"),
        format!("check {swapped} --format json"),
        format!("diagram {swapped}"),
        format!("explain {} c2 c4/1/4", testdata("traced")),
        "sim --order fifo --members 2 --messages 2".to_owned(),
        "examples".to_owned(),
        "completions bash".to_owned(),
        format!("run {} --dry-run", testdata("banks")),
    ] {
        let full = said(&groupcast(dir.path(), "exec >/dev/full", &tool), 74);
        assert!(full.contains("cannot write to standard output: No space left"), "{tool}: {full}");
        // The file is at its limit already.
        let limited = "head -c 8192 /dev/zero >full; exec >>full; ulimit -f 8";
        let limited = said(&groupcast(dir.path(), limited, &tool), 74);
        assert!(limited.contains("cannot write to standard output: File too large"), "{tool}: {limited}");
        fs::remove_file(dir.path().join("full")).unwrap();
    }
}

#[test]
fn files_open_file_limit_too_low_is_refused_at_start() {
    let stage = Stage::new();
    for launch in
        [stage.forwarder(2), stage.router(), stage.sequencer(), stage.client("c1", "Multicast,c1,x\n")]
    {
        let (_, said) = launch.through_shell("ulimit -n 20; exec \"$@\"").ends(74);
        assert!(said.contains("may open only 20 files") && said.contains("help: `ulimit -n"), "{said}");
    }
    assert_eq!(stage.files(), [""; 0], "nobody has begun anything");
    let enough = "ulimit -n 38; exec \"$@\"";
    let mut programs: Vec<Program> =
        [stage.forwarder(2), stage.router(), stage.sequencer(), stage.client("c1", "Multicast,c1,x\n")]
            .into_iter()
            .chain([stage.client("c2", "c2,c1,x\n")])
            .map(|launch| launch.through_shell(enough).start())
            .collect();
    all_end(&mut programs);
}

/// The counts of a proxy are lost, and the error says so.
#[test]
fn files_proxy_report_cannot_be_written_is_an_error() {
    let stage = Stage::new();
    let ports = crate::harness::Ports::take();
    let full = File::options().write(true).open("/dev/full").unwrap();
    let mut proxy = stage.proxy(&ports).args(["--start-timeout", "60s"]).stdout(full).start();
    proxy.says("listening");
    let mut programs: Vec<Program> = stage.middle(1).into();
    programs.push(stage.client_at(&ports, "c1", "Multicast,c1,x\n").start());
    all_end(&mut programs);
    proxy.ends_saying(74, &["cannot write to standard output"]);
}
