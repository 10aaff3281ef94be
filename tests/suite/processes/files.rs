//! Files that cannot be written: a full disk, a limit, a folder that is gone. The program ends with 73 or 74 and the
//! name of the file, and what it had written before is whole.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use crate::harness::{Ports, Program, Stage, all_end, lines, pause, set_variables, until};

/// A folder on a disk of its own, which a mount namespace keeps to one command.
const SMALL_DISK: &str = "mkdir -p small && mount -t tmpfs -o size=64k tmpfs small";

/// The command that runs another one in a mount namespace of its own, of root or of a user; if neither may, what needs it
/// is left out, and says so.
fn namespace() -> Option<&'static str> {
    let may_mount = |namespace: &&str| {
        let probe = format!("exec {namespace} mount -t tmpfs tmpfs /mnt");
        let mut probe = Command::new("sh").args(["-c", &probe]).stderr(Stdio::null()).spawn().unwrap();
        probe.wait().unwrap().success()
    };
    let found = ["unshare --mount", "unshare --map-root-user --mount"].into_iter().find(may_mount);
    if found.is_none() {
        eprintln!("left out: a disk of its own takes unshare, and root or namespaces of users");
    }
    found
}

/// The script that runs a program with a small disk of its own, which is saved at the end: the disk goes with the namespace.
fn on_small_disk(namespace: &str) -> String {
    let script = format!("{SMALL_DISK} && \"$@\"; code=$?; cp -r small kept; exit $code");
    format!("exec {namespace} sh -c '{script}' sh \"$@\"")
}

/// `groupcast` in `folder`, through a shell that runs `before` first.
fn groupcast(folder: &Path, before: &str, arguments: &str) -> Output {
    groupcast_in("", folder, before, arguments)
}

/// The same, in a mount namespace.
fn groupcast_in(namespace: &str, folder: &Path, before: &str, arguments: &str) -> Output {
    let script = format!("{before}\nexec \"$0\" {arguments}");
    let mut command = Command::new("env");
    set_variables(&mut command);
    command.args(namespace.split_whitespace());
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
    let Some(namespace) = namespace() else { return };
    let stage = Stage::new();
    let _middle = stage.middle(1);
    let on_small_disk = on_small_disk(namespace);
    let mut c1 = stage.client("c1", much("c1")).out("small/out").through_shell(&on_small_disk).start();
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

/// A member of a cluster whose results have no room when its journal is to forget what they tell: it forgets nothing, and
/// goes on once there is room. That all becomes final at one moment, and is stored by all then, takes a third member that
/// the first one does not hear.
#[test]
fn files_disk_full_while_a_journal_is_to_forget_takes_nothing_from_it() {
    const TEXTS: usize = 200;
    let Some(namespace) = namespace() else { return };
    let stage = Stage::new();
    let ports = Ports::take();
    let server = |at| {
        let port = ports.first() + at;
        format!("[[server]]\nid = \"s{}\"\nudp = \"127.0.0.1:{port}\"\n", at + 1)
    };
    stage.file("cluster.toml", "name = \"test\"\n".to_owned() + &(0..3).map(server).collect::<String>());
    let member = |id: &str, commands: &str| {
        let file = stage.file(&format!("{id}.txt"), commands);
        let member = stage.bare("client").named(id).args(["--order", "tentative", "--id", id]);
        let member = member.args(["--cluster", "cluster.toml", "--data", &format!("data-{id}")]);
        member.args(["--faults", "faults.json", "--commands"]).arg(file)
    };
    // More than a mebibyte, after which a snapshot replaces what is forgotten.
    let much = format!("Multicast,s1,{}\n", "x".repeat(16_000)).repeat(TEXTS) + "sleep,600\n";
    let first = || member("s1", &much).arg("--no-history");
    let mut s1 = first().out("small/out").through_shell(&on_small_disk(namespace)).start();
    let second = member("s2", "sleep,600\n").out(stage.out()).start();
    // The lines of a file with a word, if the file is there.
    let has_all = |file: &Path, word: &str| {
        let text = fs::read_to_string(file).unwrap_or_default();
        (text.lines().filter(|line| line.contains(word)).count() == TEXTS).then_some(())
    };
    let history = stage.out().join("history_s2.1.jsonl");
    until("s2 has all", || has_all(&history, "\"insert\""));
    // It tells s1 so.
    pause(Duration::from_secs(1));
    stage.bare("groupcast").args(["cluster", "part", ".", "s2,s3/s1", "--one-way"]).ends(0);
    pause(Duration::from_secs(1));
    let third = member("s3", "sleep,600\n").out(stage.out()).start();
    for id in ["s2", "s3"] {
        let path = stage.out().join(format!("test_result_{id}_tom.txt"));
        until("all is final at the others", || has_all(&path, "###"));
    }
    pause(Duration::from_secs(1));
    assert!(s1.is_running(), "{}", s1.stderr());
    stage.bare("groupcast").args(["cluster", "heal", "."]).ends(0);
    s1.ends_saying(74, &["error: cannot write small/out/test_result_s1_tom.txt: No space left"]);
    let kept = stage.dir().join("kept/out/test_result_s1_tom.txt");
    assert!(has_all(&kept, "###").is_none());
    // With room for all.
    let mut s1 = first().out("kept/out").start();
    until("s1 has written all", || {
        assert!(s1.is_running(), "{}", s1.stderr());
        has_all(&kept, "###")
    });
    drop((second, third));
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
    let Some(namespace) = namespace() else { return };
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("c1.txt"), "Multicast,c1,x\n").unwrap();
    let read_only = "mkdir -p small && mount -t tmpfs -o ro tmpfs small";
    for (arguments, name) in [
        (format!("diagram {} -o small/x.svg", testdata("traced")), "small/x.svg"),
        ("man small/man".to_owned(), "small/man"),
    ] {
        let said = said(&groupcast_in(namespace, dir.path(), read_only, &arguments), 73);
        assert!(said.contains("Read-only file system") && said.contains(name), "{said}");
    }
    let output = groupcast_in(namespace, dir.path(), &format!("{read_only}; cd small"), "run ..");
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
    let ports = Ports::take();
    let full = File::options().write(true).open("/dev/full").unwrap();
    let mut proxy = stage.proxy(&ports).args(["--start-timeout", "60s"]).stdout(full).start();
    proxy.says("listening");
    let mut programs: Vec<Program> = stage.middle(1).into();
    programs.push(stage.client_at(&ports, "c1", "Multicast,c1,x\n").start());
    all_end(&mut programs);
    proxy.ends_saying(74, &["cannot write to standard output"]);
}
