//! The main job: a forwarder, a router, a sequencer and clients replay command files to identical results.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::path::Path;

use serde_json::Value;

use crate::harness::{Program, Stage, all_end};

const CLIENTS: [&str; 4] = ["c1", "c2", "c3", "c4"];

/// The direct messages to each client, as the assignment shows them; the order between senders may differ.
const UNO: [&[&str]; 4] = [
    &["c2###command8", "c4###command1", "c4###command9"],
    &["c1###command2", "c4###command11"],
    &["c1###command1", "c2###command14", "c4###command12"],
    &[
        "c1###command1",
        "c2###command11",
        "c3###command12",
        "c3###command15",
        "c3###command15",
        "c3###command4",
    ],
];

/// The fields of each event of a history, but for `v` and `event`, in the order of the alphabet.
const FIELDS: [(&str, &str); 7] = [
    ("start", "group incarnation member members method order time_us"),
    ("view", "members number time_us"),
    ("multicast", "id text time_us"),
    ("deliver", "id number text time_us"),
    ("send", "id text time_us to"),
    ("receive", "from id text time_us"),
    ("end", "delivered multicasts reason received sent time_us undeliverable"),
];

fn commands(id: &str) -> Vec<u8> {
    let banks = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/banks");
    fs::read(banks.join(format!("{id}.txt"))).unwrap()
}

#[test]
fn programs_four_banks_have_the_expected_results() {
    let stage = Stage::new();
    let mut programs: Vec<Program> = stage.middle(4).into();
    programs.extend(CLIENTS.map(|id| stage.client(id, commands(id)).args(["--speed", "50"]).start()));
    all_end(&mut programs);
    let first = stage.lines("c1", "tom");
    assert_eq!(first.len(), 26);
    for (id, uno) in CLIENTS.into_iter().zip(UNO) {
        assert_eq!(stage.lines(id, "tom"), first, "{id} and c1 differ");
        let received = stage.lines(id, "uno");
        let mut sorted = received.clone();
        sorted.sort();
        assert_eq!(sorted, uno, "messages that {id} received");
        for sender in CLIENTS {
            assert_eq!(from(sender, &received), sent(sender, id), "{sender} to {id}, in order");
        }
        check_history(&stage, id, &first, &received);
    }
    let outputs: Vec<String> = CLIENTS.iter().flat_map(|id| outputs(id)).collect();
    let mut expected = outputs;
    expected.sort();
    assert_eq!(stage.files(), expected, "no other files");
}

fn outputs(id: &str) -> [String; 3] {
    [format!("history_{id}.jsonl"), format!("test_result_{id}_tom.txt"), format!("test_result_{id}_uno.txt")]
}

/// The texts of `sender` among result lines.
fn from<'a>(sender: &str, lines: &'a [String]) -> Vec<&'a str> {
    lines.iter().filter_map(|line| line.strip_prefix(sender)?.strip_prefix("###")).collect()
}

/// The texts that the command file of `sender` has for `receiver`.
fn sent(sender: &str, receiver: &str) -> Vec<String> {
    let start = format!("{sender},{receiver},");
    let file = String::from_utf8(commands(sender)).unwrap();
    file.lines().filter_map(|line| Some(line.strip_prefix(&start)?.to_owned())).collect()
}

fn check_history(stage: &Stage, id: &str, delivered: &[String], received: &[String]) {
    let events = stage.history(id);
    let mut counts = BTreeMap::<&str, usize>::new();
    let mut last = 0;
    for event in &events {
        let name = event["event"].as_str().unwrap();
        let (_, fields) = FIELDS.iter().find(|(known, _)| *known == name).unwrap();
        let mut found: Vec<&str> = event.as_object().unwrap().keys().map(String::as_str).collect();
        found.retain(|field| !["v", "event"].contains(field));
        found.sort_unstable();
        assert_eq!(found.join(" "), *fields, "{event}");
        assert_eq!(event["v"], 1);
        let time = event["time_us"].as_u64().unwrap();
        assert!(time >= last, "time goes back in the history of {id}: {event}");
        last = time;
        *counts.entry(name).or_default() += 1;
    }
    let [start, view] = &events[..2] else { panic!("two events") };
    assert_eq!([&start["event"], &view["event"]], ["start", "view"]);
    assert_eq!(
        [&start["member"], &start["group"], &start["order"], &start["method"]],
        [id, "main", "total", "bb"]
    );
    assert_eq!((&start["members"], &start["incarnation"]), (&CLIENTS.into(), &1.into()));
    assert_eq!((&view["members"], &view["number"]), (&CLIENTS.into(), &1.into()));
    let end = events.last().unwrap();
    assert_eq!([&end["event"], &end["reason"]], ["end", "done"]);
    let count = |event: &str| counts.get(event).copied().unwrap_or(0);
    for (field, event) in [
        ("multicasts", "multicast"),
        ("delivered", "deliver"),
        ("sent", "send"),
        ("received", "receive"),
        ("undeliverable", "undeliverable"),
    ] {
        assert_eq!(end[field], count(event), "{field} of {id}");
    }
    assert_eq!(shown(&events, "deliver"), delivered);
    assert_eq!(shown(&events, "receive"), received);
    let numbers: Vec<u64> = events
        .iter()
        .filter(|event| event["event"] == "deliver")
        .map(|event| event["number"].as_u64().unwrap())
        .collect();
    assert_eq!(numbers, (1..=26).collect::<Vec<u64>>(), "{id} delivers without a gap");
}

/// Events of this kind as lines of a result file.
fn shown(events: &[Value], kind: &str) -> Vec<String> {
    let line = |event: &Value| {
        let (id, text) = (event["id"].as_str().unwrap(), event["text"].as_str().unwrap());
        format!("{}###{text}", id.split('/').next().unwrap())
    };
    events.iter().filter(|event| event["event"] == kind).map(line).collect()
}

#[test]
fn programs_every_text_is_delivered_unchanged() {
    let stage = Stage::new();
    let texts: [&[u8]; 6] = [
        b"",
        b"\"a, \"\"b\"\"\"",
        b"back\\slash",
        b"\"two\r\nlines\"",
        b"no \xff UTF-8 \0",
        "ä \u{1f600}".as_bytes(),
    ];
    let file = texts.map(|text| [b"Multicast,c1,", text, b"\n"].concat()).concat();
    let mut programs: Vec<Program> = stage.middle(2).into();
    programs.push(stage.client("c1", file).start());
    programs.push(stage.client("c2", "c2,c1,\"a\nb\"\n").start());
    all_end(&mut programs);
    let expected: [&[u8]; 6] = [
        b"",
        b"a, \"b\"",
        b"back\\\\slash",
        b"two\\r\\nlines",
        b"no \xff UTF-8 \0",
        "ä \u{1f600}".as_bytes(),
    ];
    let expected = expected.map(|text| [b"c1###", text, b"\n"].concat()).concat();
    for id in ["c1", "c2"] {
        let found = fs::read(stage.out().join(format!("test_result_{id}_tom.txt"))).unwrap();
        assert_eq!(found, expected, "{id}: {}", String::from_utf8_lossy(&found));
    }
    assert_eq!(stage.lines("c1", "uno"), ["c2###a\\nb"]);
    let deliveries: Vec<Value> =
        stage.history("c2").into_iter().filter(|event| event["event"] == "deliver").collect();
    assert_eq!(deliveries[3]["text"], "two\r\nlines");
    assert_eq!(deliveries[4]["text_b64"], "bm8g/yBVVEYtOCAA");
}

#[test]
fn programs_every_order_has_its_result_file() {
    for (order, suffix) in [("fifo", "fifo"), ("unordered", "unordered")] {
        let stage = Stage::new();
        let mut programs = vec![stage.forwarder(3).start(), stage.router().start()];
        let commands = |id: &str| (1..=50).map(|i| format!("Multicast,{id},{i}\n")).collect::<String>();
        let client = |id| stage.client(id, commands(id)).args(["--order", order]).start();
        programs.extend(["c1", "c2", "c3"].map(client));
        all_end(&mut programs);
        for id in ["c1", "c2", "c3"] {
            let lines = stage.lines(id, suffix);
            assert_eq!(lines.len(), 150);
            for sender in ["c1", "c2", "c3"].into_iter().filter(|_| order == "fifo") {
                let expected: Vec<String> = (1..=50).map(|i| i.to_string()).collect();
                assert_eq!(from(sender, &lines), expected, "{sender} at {id}");
            }
        }
    }
}

#[test]
fn programs_longest_text_is_delivered() {
    let stage = Stage::new();
    let text = "x".repeat(1 << 20);
    let commands = |id: &str, other: &str| format!("Multicast,{id},{text}\n{id},{other},{text}\n").repeat(8);
    let mut programs: Vec<Program> = stage.middle(2).into();
    programs.push(stage.client("c1", commands("c1", "c2")).start());
    programs.push(stage.client("c2", commands("c2", "c1")).start());
    all_end(&mut programs);
    assert_eq!(stage.lines("c1", "tom"), stage.lines("c2", "tom"));
    assert!(stage.lines("c1", "tom").iter().all(|line| line.len() == (1 << 20) + 5));
    assert_eq!(stage.lines("c1", "tom").len(), 16);
    assert_eq!(stage.lines("c2", "uno"), vec![format!("c1###{text}"); 8]);
}

#[test]
fn programs_group_of_one_client_completes() {
    let stage = Stage::new();
    let mut programs: Vec<Program> = stage.middle(1).into();
    programs.push(stage.client("alone", "Multicast,alone,hello\n").start());
    all_end(&mut programs);
    assert_eq!(stage.lines("alone", "tom"), ["alone###hello"]);
}

#[test]
fn programs_clients_without_commands_end_at_once() {
    let stage = Stage::new();
    let mut programs: Vec<Program> = stage.middle(2).into();
    programs.extend(["c1", "c2"].map(|id| stage.client(id, "# nothing to do\n").start()));
    all_end(&mut programs);
    assert!(stage.lines("c1", "tom").is_empty());
}

#[test]
fn ports_busy_port_is_named() {
    for offset in 0..4 {
        let stage = Stage::new();
        let port = stage.port(offset);
        let _busy = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let program = if offset == 3 { stage.router() } else { stage.forwarder(1) };
        let holder = format!("(pid {})", std::process::id());
        let words = ["error: ", &format!("127.0.0.1:{port}"), "in use", &*holder, "--port-base"];
        program.start().ends_saying(69, &words);
    }
}

#[test]
fn ports_two_forwarders_do_not_share_one() {
    let stage = Stage::new();
    let mut first = stage.forwarder(1).start();
    first.says("listening");
    stage.forwarder(1).start().ends_saying(69, &["in use by forwarder (pid "]);
    stage.router().start().says("listening");
}
