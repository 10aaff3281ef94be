//! `--method log`: what was delivered is in the log of the sequencer, whatever is killed, and a later run goes on behind it.

use std::path::Path;

use groupcast::log;
use serde_json::Value;

use super::support::has_delivered;
use crate::harness::{Launch, Program, Stage, all_end, lines};

/// Most bytes of the file of a log in the test with a full disk: more than that of an empty one.
const FULL_AT: u64 = 1_100_000;
const LOG: [&str; 4] = ["--method", "log", "--suspect-after", "2s"];

/// Multicasts in small groups, for some seconds.
fn commands(id: &str, count: usize) -> String {
    let rest = |number: usize| if number.is_multiple_of(10) { "sleep,0.02\n" } else { "" };
    (1..=count).map(|number| format!("Multicast,{id},{number}\n{}", rest(number))).collect()
}

/// The messages of a log as result lines, each with its id, in their order. The places rise by one from 1.
fn logged(dir: &Path) -> Vec<(String, String)> {
    let mut all = Vec::new();
    log::read(dir, &mut |entry| {
        assert_eq!(entry.place, all.len() as u64 + 1);
        let (id, incarnation) = &entry.sender;
        for (number, text) in entry.batch.messages() {
            let text = String::from_utf8_lossy(text);
            all.push((format!("{id}###{text}"), format!("{id}/{incarnation}/{number}")));
        }
    })
    .unwrap();
    all
}

fn main_log(stage: &Stage) -> Vec<(String, String)> {
    logged(&stage.dir().join("log/main"))
}

fn client<'a>(stage: &'a Stage, id: &str, count: usize) -> Launch<'a> {
    stage.client(id, commands(id, count)).args(LOG)
}

/// The result lines of a log.
fn texts(log: &[(String, String)]) -> Vec<&str> {
    log.iter().map(|(line, _)| line.as_str()).collect()
}

#[test]
fn log_has_all_that_was_delivered_when_the_sequencer_is_killed() {
    for round in 1..=3 {
        let stage = Stage::new();
        let [_forwarder, _router, mut sequencer] = stage.middle(2);
        let mut clients = ["c1", "c2"].map(|id| client(&stage, id, 20_000).start());
        ["c1", "c2"].iter().for_each(|id| has_delivered(&stage, id, 200 * round));
        sequencer.kill();
        clients.iter_mut().for_each(|client| client.ends(69));
        let log = main_log(&stage);
        for id in ["c1", "c2"] {
            let delivered = lines(&stage.out().join(format!("test_result_{id}_tom.txt.part")));
            assert!(delivered.len() >= 200 * round);
            assert!(texts(&log).starts_with(&delivered.iter().map(String::as_str).collect::<Vec<_>>()));
        }
    }
}

#[test]
fn log_is_needed_by_the_sequencer_of_a_group_with_one() {
    let stage = Stage::new();
    let words = ["its sequencer has no log: give it one with --log DIR"];
    let _router = stage.router().arg("--stay").start();
    let mut inside = stage.forwarder(1).arg("--sequencer").start();
    let mut c1 = client(&stage, "c1", 1).start();
    [&mut inside, &mut c1].into_iter().for_each(|program| program.ends_saying(78, &words));
    let mut forwarder = stage.forwarder(1).start();
    let mut sequencer = stage.sequencer().without_log().start();
    let mut c1 = client(&stage, "c1", 1).start();
    [&mut forwarder, &mut sequencer, &mut c1].into_iter().for_each(|program| program.ends_saying(78, &words));
}

/// The numbers and the ids of the deliveries in a history.
fn deliveries(stage: &Stage, id: &str) -> Vec<(u64, String)> {
    let is_delivery = |event: &Value| event["event"] == "deliver";
    let number = |event: Value| (event["number"].as_u64().unwrap(), event["id"].as_str().unwrap().to_owned());
    stage.history(id).into_iter().filter(is_delivery).map(number).collect()
}

#[test]
fn log_of_an_earlier_run_is_gone_on_with() {
    let stage = Stage::new();
    let run = || {
        let mut programs: Vec<Program> = stage.middle(2).into();
        programs.extend(["c1", "c2"].map(|id| client(&stage, id, 30).arg("--force").start()));
        all_end(&mut programs);
        assert_eq!(deliveries(&stage, "c1"), deliveries(&stage, "c2"));
        deliveries(&stage, "c1")
    };
    let (first, second) = (run(), run());
    assert!(first.iter().map(|(number, _)| *number).eq(1..=60), "{first:?}");
    assert!(second.iter().map(|(number, _)| *number).eq(61..=120), "{second:?}");
    let of_life = |deliveries: &[(u64, String)], life: &str| {
        deliveries.iter().filter(|(_, id)| id.starts_with(life)).count()
    };
    assert_eq!((of_life(&first, "c1/1/"), of_life(&second, "c1/2/")), (30, 30), "{second:?}");
    let ids: Vec<String> = main_log(&stage).into_iter().map(|(_, id)| id).collect();
    assert!(ids.iter().eq(first.iter().chain(&second).map(|(_, id)| id)));
    let (said, _) = stage.bare("groupcast").args(["log", "verify", "log"]).ends(0);
    assert!(said.starts_with("ok  main: log ") && said.contains(", places 1 to 120 in "), "{said}");
}

/// `groupcast check` finds nothing wrong; earlier lives, whose files it does not judge, leave it undecided.
fn is_checked(stage: &Stage) {
    let (said, _) = stage.bare("groupcast").args(["check", "out", "--log", "log"]).ends(2);
    assert!(said.lines().any(|line| line.starts_with("in-log") && line.ends_with("valid")), "{said}");
    assert!(!said.contains("violated"), "{said}");
}

/// All places from the first on, and each multicast of both clients once.
fn is_whole(stage: &Stage, id: &str, count: usize) {
    let found = deliveries(stage, id);
    assert!(found.iter().map(|(number, _)| *number).eq(1..=2 * count as u64), "places at {id}");
    let log = main_log(stage);
    assert!(log.iter().map(|(_, id)| id).eq(found.iter().map(|(_, id)| id)), "the ids at {id}");
    assert_eq!(texts(&log), stage.lines(id, "tom"), "the lines of {id}");
    for sender in ["c1", "c2"] {
        let own = texts(&log).into_iter().filter(|line| line.starts_with(sender));
        assert!(own.eq((1..=count).map(|number| format!("{sender}###{number}"))), "of {sender}");
    }
}

#[test]
fn resume_after_the_client_alone_was_killed() {
    for round in 1..=3 {
        let stage = Stage::new();
        let mut programs: Vec<Program> = stage.middle(2).into();
        let mut c1 = client(&stage, "c1", 2_000).start();
        programs.push(client(&stage, "c2", 2_000).start());
        has_delivered(&stage, "c1", 150 * round);
        c1.kill();
        programs.push(client(&stage, "c1", 2_000).arg("--resume").start());
        all_end(&mut programs);
        is_whole(&stage, "c1", 2_000);
        is_whole(&stage, "c2", 2_000);
        is_checked(&stage);
    }
}

#[test]
fn resume_after_everything_was_killed_again_and_again() {
    let stage = Stage::new();
    let start = || -> [Program; 5] {
        let [forwarder, router, sequencer] = stage.middle(2);
        let [c1, c2] = ["c1", "c2"].map(|id| client(&stage, id, 1_500).arg("--resume").start());
        [forwarder, router, sequencer, c1, c2]
    };
    for round in 1..=4 {
        let mut programs = start();
        ["c1", "c2"].iter().for_each(|id| has_delivered(&stage, id, 300 * round));
        // In another order each time.
        programs.rotate_left(round);
        programs.iter_mut().for_each(Program::kill);
    }
    all_end(&mut start());
    is_whole(&stage, "c1", 1_500);
    is_whole(&stage, "c2", 1_500);
    is_checked(&stage);
}

#[test]
fn resume_with_the_sequencer_inside_the_forwarder() {
    let stage = Stage::new();
    let start = || -> Vec<Program> {
        let forwarder = stage.forwarder(2).args(["--sequencer", "--log", "log"]).start();
        let clients = ["c1", "c2"].map(|id| client(&stage, id, 900).arg("--resume").start());
        [forwarder, stage.router().start()].into_iter().chain(clients).collect()
    };
    let mut programs = start();
    ["c1", "c2"].iter().for_each(|id| has_delivered(&stage, id, 300));
    programs.iter_mut().for_each(Program::kill);
    all_end(&mut start());
    is_whole(&stage, "c1", 900);
    is_whole(&stage, "c2", 900);
}

#[test]
fn newcomer_reads_the_log_from_the_start_when_no_member_was_there() {
    let stage = Stage::new();
    let mut programs: Vec<Program> = stage.middle(2).into();
    programs.extend(["c1", "c2"].map(|id| client(&stage, id, 50).arg("--force").start()));
    all_end(&mut programs);
    let mut programs: Vec<Program> = stage.middle(2).into();
    programs.push(client(&stage, "c1", 30).arg("--force").start());
    programs.push(client(&stage, "c3", 20).args(["--join", "from-start"]).start());
    all_end(&mut programs);
    assert_eq!(texts(&main_log(&stage)), stage.lines("c3", "tom"));
    assert_eq!(stage.lines("c3", "tom").len(), 150);
    assert_eq!(stage.lines("c1", "tom"), stage.lines("c3", "tom")[100..]);
    std::fs::remove_file(stage.out().join("history_c2.jsonl")).unwrap();
    std::fs::remove_file(stage.out().join("test_result_c2_tom.txt")).unwrap();
    std::fs::remove_file(stage.out().join("test_result_c2_uno.txt")).unwrap();
    is_checked(&stage);
    let history = stage.out().join("history_c3.jsonl");
    let text = std::fs::read_to_string(&history).unwrap();
    std::fs::write(&history, text.replace("\"number\":77}", "\"number\":78}")).unwrap();
    let (said, _) = stage.bare("groupcast").args(["check", "out", "--log", "log"]).ends(1);
    assert!(said.lines().any(|line| line.starts_with("in-log") && line.contains("violated")), "{said}");
}

#[test]
fn log_on_a_full_disk_ends_the_run_and_loses_nothing() {
    let stage = Stage::new();
    let commands = |id| (1..=30_000).map(|number| format!("Multicast,{id},{number}\n")).collect::<String>();
    let start = |id| stage.client(id, commands(id)).args(LOG).arg("--resume").start();
    let clients = || ["c1", "c2"].map(start);
    let limited = format!("trap '' XFSZ; ulimit -f {}; exec \"$@\"", FULL_AT / 512);
    let mut middle = [stage.forwarder(2).start(), stage.router().start()];
    let mut sequencer = stage.sequencer().through_shell(&limited).start();
    let mut members = clients();
    sequencer.ends_saying(74, &["cannot write", "journal.redb"]);
    members.iter_mut().chain(&mut middle).for_each(|program| program.ends(69));
    let log = main_log(&stage);
    assert!(log.len() < 60_000, "the disk was never full");
    for id in ["c1", "c2"] {
        let delivered = lines(&stage.out().join(format!("test_result_{id}_tom.txt.part")));
        assert!(texts(&log).starts_with(&delivered.iter().map(String::as_str).collect::<Vec<_>>()), "{id}");
    }
    let mut programs: Vec<Program> = stage.middle(2).into_iter().chain(clients()).collect();
    all_end(&mut programs);
    is_whole(&stage, "c1", 30_000);
    is_whole(&stage, "c2", 30_000);
}

/// A run of these clients with a log of which only the last 40 kB are kept.
fn run_with_little_kept(stage: &Stage, clients: Vec<Launch<'_>>) {
    let sequencer = stage.sequencer().args(["--retain", "40kB"]);
    let middle = [stage.forwarder(clients.len()), stage.router(), sequencer];
    let mut programs: Vec<Program> = middle.into_iter().chain(clients).map(Launch::start).collect();
    all_end(&mut programs);
}

#[test]
fn log_keeps_its_last_part_and_refuses_those_that_need_more() {
    let stage = Stage::new();
    run_with_little_kept(&stage, vec![client(&stage, "c1", 5)]);
    let text = "x".repeat(1000);
    let many: String =
        (1..=200).map(|number| format!("Multicast,c2,{number} {text}\nsleep,0.002\n")).collect();
    run_with_little_kept(&stage, vec![stage.client("c2", many).args(LOG)]);
    let (told, _) = stage.bare("groupcast").args(["log", "info", "log", "--json"]).ends(0);
    let info: Value = serde_json::from_str(&told).unwrap();
    let [begins_after, place] = ["begins_after", "place"].map(|field| info[field].as_u64().unwrap());
    assert_eq!(place, 205);
    // A part is an eighth of what is kept, and one is written; some messages share a record.
    assert!((100..=165).contains(&begins_after), "{told}");
    assert_eq!(
        (&info["senders"]["c1"]["messages"], &info["senders"]["c2"]["messages"]),
        (&5.into(), &200.into())
    );
    let (said, _) = stage.bare("groupcast").args(["log", "verify", "log"]).ends(0);
    assert!(said.contains(&format!(", places {} to 205 in ", begins_after + 1)), "{said}");
    is_checked(&stage);
    for late in
        [client(&stage, "c1", 9).arg("--resume"), client(&stage, "c3", 9).args(["--join", "from-start"])]
    {
        let _middle = [stage.forwarder(1).start(), stage.router().start(), stage.sequencer().start()];
        late.start().ends_saying(69, &["its log begins later", "`groupcast log info` shows where"]);
    }
    assert_eq!(lines(&stage.out().join("test_result_c1_tom.txt.old-1")).len(), 5, "the results stay");
    // The clients of removed messages are known all the same.
    run_with_little_kept(&stage, vec![client(&stage, "c1", 9).arg("--force")]);
    assert_eq!(deliveries(&stage, "c1")[0], (206, "c1/2/1".to_owned()));
}

#[test]
fn resume_with_another_log_is_refused() {
    let stage = Stage::new();
    let mut programs: Vec<Program> = stage.middle(1).into();
    programs.push(client(&stage, "c1", 5).start());
    all_end(&mut programs);
    let _forwarder = stage.forwarder(1).start();
    let _router = stage.router().start();
    let _sequencer = stage.program("sequencer").args(["--log", "other"]).start();
    let mut c1 = client(&stage, "c1", 5).arg("--resume").start();
    c1.ends_saying(78, &["cannot resume with log", "the earlier results are of log"]);
    assert_eq!(stage.lines("c1", "tom").len(), 5, "they stay");
}

#[test]
fn log_that_is_damaged_or_in_use_is_refused() {
    let stage = Stage::new();
    let mut programs: Vec<Program> = stage.middle(1).into();
    programs.push(client(&stage, "c1", 300).start());
    all_end(&mut programs);
    let path = stage.dir().join("log/main/journal.redb");
    let held = std::fs::File::open(path.with_file_name("journal.lock")).unwrap();
    held.lock_shared().unwrap();
    let middle = || (stage.forwarder(1).start(), client(&stage, "c1", 1).arg("--force").start());
    {
        let _others = middle();
        stage
            .sequencer()
            .start()
            .ends_saying(69, &["is in use by", "give each sequencer a folder of its own"]);
    }
    drop(held);
    let mut bytes = std::fs::read(&path).unwrap();
    let text = bytes.windows(3).rposition(|window| window == b"150").unwrap();
    bytes[text] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let _others = middle();
    stage.sequencer().start().ends_saying(65, &["is damaged", "it was left as it is"]);
    let (_, said) = stage.bare("groupcast").args(["log", "verify", "log"]).ends(65);
    assert!(said.contains("is damaged"), "{said}");
    assert!(std::fs::read(&path).unwrap() == bytes, "it stays as it is");
}
