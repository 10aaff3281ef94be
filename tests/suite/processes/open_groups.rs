//! Open groups: texts of processes that are no members, in every order, while members are killed and forwarders restarted.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use crate::harness::{Launch, Program, Stage, all_end, pause, side_by_side, until};

fn post<'s>(stage: &'s Stage, name: &str, words: &str) -> Launch<'s> {
    post_to(stage, "main", name, words)
}

fn post_to<'s>(stage: &'s Stage, group: &str, name: &str, words: &str) -> Launch<'s> {
    let port_base = stage.port(0).to_string();
    let arguments = ["post", "--port-base", &port_base, "--group", group, "--as", name, words];
    stage.bare("groupcast").args(arguments).named("post")
}

/// The ids of the messages in a history that are of an author.
fn authored<'h>(history: &'h [Value], event: &str) -> Vec<&'h Value> {
    history.iter().filter(|line| line["event"] == event && !line["author"].is_null()).collect()
}

/// Judges the results with the command files.
fn checked(stage: &Stage) {
    let mut check =
        stage.bare("groupcast").arg("check").arg(stage.out()).arg("--commands").arg(stage.dir()).start();
    let code = check.wait();
    assert_eq!(code, 0, "{}{}", check.stdout(), check.stderr());
}

#[test]
fn open_group_delivers_the_text_of_an_author_in_every_order() {
    let ways: [(&str, &[&str]); 10] = [
        ("unordered", &["--order", "unordered"]),
        ("fifo", &["--order", "fifo"]),
        ("fifo", &["--order", "fifo", "--reliability", "basic"]),
        ("causal", &["--order", "causal"]),
        ("causal", &["--order", "causal", "--reliability", "flood"]),
        ("tom", &["--method", "bb", "--safe"]),
        ("tom", &["--method", "ub"]),
        ("tom", &["--method", "uub"]),
        ("tom", &["--order", "lamport"]),
        ("tom", &["--order", "agreed"]),
    ];
    side_by_side(ways.len(), 4, |number| {
        let (suffix, flags) = ways[number];
        let stage = Stage::new();
        let mut programs: Vec<Program> = stage.middle(2).into();
        for id in ["c1", "c2"] {
            let commands = format!("Multicast,{id},own\nsleep,5\nMulticast,{id},last\n");
            programs.push(stage.client(id, commands).args(flags).start());
        }
        let (said, _) = post(&stage, "M.Walker", "Re: Mach, \\ and ###").ends(0);
        assert!(said.starts_with("M.Walker posted to main: c"), "{said}");
        all_end(&mut programs);
        let id = said.trim_end().rsplit(' ').next().unwrap();
        let mut multicast = 0;
        for member in ["c1", "c2"] {
            let lines = stage.lines(member, suffix);
            let count = lines.iter().filter(|line| *line == "M.Walker###Re: Mach, \\\\ and ###").count();
            assert_eq!((count, lines.len()), (1, 5), "{flags:?}: {lines:?}");
            let history = stage.history(member);
            let delivered = authored(&history, "deliver");
            assert_eq!(delivered.len(), 1, "{flags:?}");
            assert_eq!((&delivered[0]["id"], &delivered[0]["author"]), (&id.into(), &"M.Walker".into()));
            multicast += authored(&history, "multicast").len();
        }
        assert_eq!(multicast, 1, "{flags:?}");
        checked(&stage);
    });
}

#[test]
fn open_group_takes_texts_of_five_authors_at_once() {
    let stage = Stage::new();
    let mut programs: Vec<Program> = stage.middle(3).into();
    programs.extend(["c1", "c2", "c3"].map(|id| stage.client(id, "sleep,8\n").start()));
    let names: Vec<String> = (1..=5).map(|number| format!("author{number}")).collect();
    let mut posts: Vec<Program> = names.iter().map(|name| post(&stage, name, "hello").start()).collect();
    all_end(&mut posts);
    all_end(&mut programs);
    let lines = stage.lines("c1", "tom");
    assert_eq!((lines.len(), &lines, &lines), (5, &stage.lines("c2", "tom"), &stage.lines("c3", "tom")));
    for name in names {
        assert!(lines.contains(&format!("{name}###hello")), "{lines:?}");
    }
    checked(&stage);
}

/// The member that `post` waits for.
fn holder(post: &mut Program) -> String {
    until("a member has the text", || {
        let said = post.stderr();
        let word = said.lines().rev().find_map(|line| line.split_once(" to deliver it"))?.0;
        word.rsplit(' ').next().map(str::to_owned)
    })
}

#[test]
fn open_group_delivers_a_text_once_although_the_member_that_has_it_is_killed() {
    let stage = Stage::new();
    let patience = ["--suspect-after", "8s"];
    let mut middle: Vec<Program> =
        vec![stage.forwarder(4).start(), stage.router().start(), stage.sequencer().args(patience).start()];
    let ids = ["c1", "c2", "c3", "c4"];
    let client = |id: &str| stage.client(id, "sleep,30\n").args(patience).arg("--safe").start();
    let mut clients: Vec<(&str, Program)> = ids.map(|id| (id, client(id))).into();
    for (_, client) in &mut clients {
        client.says("start of main");
    }
    // With --safe, the text stays under way while c4 is stopped.
    clients[3].1.signal(Signal::STOP);
    pause(Duration::from_millis(1500));
    let mut post = post(&stage, "M.Walker", "once").start();
    let holder = holder(&mut post);
    let place = ids.iter().position(|id| *id == holder).unwrap();
    assert_ne!(holder, "c4");
    clients[place].1.kill();
    clients[3].1.signal(Signal::CONT);
    post.ends(0);
    for (_, client) in clients.iter_mut().filter(|(id, _)| *id != holder) {
        client.ends(0);
    }
    all_end(&mut middle);
    for id in ids.iter().filter(|id| **id != holder) {
        let lines = stage.lines(id, "tom");
        assert_eq!(lines, ["M.Walker###once"], "{id}");
    }
}

#[test]
fn open_group_delivers_a_text_once_although_the_forwarder_is_started_again() {
    let stage = Stage::new();
    let mut forwarder = stage.forwarder(2).start();
    let mut rest: Vec<Program> = vec![stage.router().start(), stage.sequencer().start()];
    let mut clients = ["c1", "c2"].map(|id| stage.client(id, "sleep,12\n").arg("--safe").start());
    for client in &mut clients {
        client.says("start of main");
    }
    clients[1].signal(Signal::STOP);
    pause(Duration::from_millis(1500));
    let mut post = post(&stage, "M.Walker", "once").start();
    holder(&mut post);
    forwarder.kill();
    rest.push(stage.forwarder(2).start());
    clients[1].signal(Signal::CONT);
    post.ends(0);
    all_end(&mut clients);
    all_end(&mut rest);
    for id in ["c1", "c2"] {
        assert_eq!(stage.lines(id, "tom"), ["M.Walker###once"], "{id}");
    }
    checked(&stage);
}

#[test]
fn open_group_refuses_what_it_cannot_deliver() {
    let stage = Stage::new();
    let mut programs: Vec<Program> = stage.middle(1).into();
    let mut client = stage.client("c1", "sleep,6\n").start();
    client.says("start of main");
    let (_, said) = post(&stage, "c1", "x").ends(64);
    assert!(said.contains("c1 is the id of a member of group main"), "{said}");
    post(&stage, "a/b", "x").ends(64);
    post(&stage, "M.Walker", &"x".repeat(9000)).ends(64);
    let (_, said) = post_to(&stage, "none", "M.Walker", "x").args(["--timeout", "0.5"]).ends(69);
    assert!(said.contains("the forwarder has no group none"), "{said}");
    client.ends(0);
    all_end(&mut programs);
}

#[test]
fn open_group_that_has_not_started_is_waited_for_and_named() {
    let stage = Stage::new();
    let _middle = stage.middle(2);
    let mut client = stage.client("c1", "sleep,1\n").start();
    client.says("waiting for");
    let mut waiting = post(&stage, "M.Walker", "x").args(["--timeout", "4"]).start();
    waiting.ends_saying(75, &["group main to start"]);
}

/// The history of `c1`, alone in its group, which multicasts two copies of a text of an author, and its result file.
fn two_copies(stage: &Stage, first: &str, second: &str, lines: &str) -> std::path::PathBuf {
    let dir = stage.dir().join("copies");
    std::fs::create_dir_all(&dir).unwrap();
    let copy = |event: &str, number: u64, mark: &str| {
        format!(
            r#"{{"v":1,"event":"{event}","id":"c1/1/{number}","text":"x","time_us":{number},"author":"M.Walker","post":"00000000000000a1/1"{mark}}}"#
        )
    };
    let history = [
        r#"{"v":1,"event":"start","member":"c1","incarnation":1,"group":"main","order":"fifo","members":["c1"],"time_us":0}"#,
        r#"{"v":1,"event":"view","number":1,"members":["c1"],"time_us":0}"#,
        &copy("multicast", 1, ""),
        &copy("deliver", 1, first),
        &copy("multicast", 2, ""),
        &copy("deliver", 2, second),
        r#"{"v":1,"event":"end","reason":"done","multicasts":2,"delivered":2,"sent":0,"received":0,"undeliverable":0,"time_us":9}"#,
    ];
    std::fs::write(dir.join("history_c1.jsonl"), history.join("\n") + "\n").unwrap();
    std::fs::write(dir.join("test_result_c1_fifo.txt"), lines).unwrap();
    dir
}

#[test]
fn open_group_check_counts_no_line_of_an_author_as_invented_and_overlooks_no_copy() {
    let stage = Stage::new();
    let doubled = r#","doubled":true"#;
    let (one, two) = ("M.Walker###x\n", "M.Walker###x\nM.Walker###x\n");
    for (first, second, lines, violated) in [
        ("", doubled, one, None),
        ("", "", two, Some("no-duplicate    violated")),
        (doubled, "", one, Some("no-duplicate    violated")),
        ("", doubled, two, Some("consistency     violated")),
    ] {
        let dir = two_copies(&stage, first, second, lines);
        let commands = stage.dir().join("commands");
        std::fs::create_dir_all(&commands).unwrap();
        std::fs::write(commands.join("c1.txt"), "").unwrap();
        let mut check =
            stage.bare("groupcast").arg("check").arg(&dir).arg("--commands").arg(&commands).start();
        let (code, said) = (check.wait(), check.stdout());
        assert_eq!(code, i32::from(violated.is_some()), "{first} {second} {lines}: {said}");
        assert!(violated.is_none_or(|words| said.contains(words)), "{said}");
        assert!(said.contains("no-creation     valid"), "{said}");
    }
}
