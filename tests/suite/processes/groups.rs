//! Several groups on one forwarder, router and sequencer: each is alone, unless they share members. Then all members
//! deliver what they get of all groups in one order.

use rustix::process::Signal;

use groupcast::check::{self, judge_folder};
use groupcast::exit::Exit;

use super::support::{has_delivered, long, short};
use crate::harness::{Program, Stage, all_end};

#[test]
fn groups_are_isolated() {
    let stage = Stage::new();
    let mut programs: Vec<Program> = stage.middle(2).into();
    for (group, id) in [("red", "r1"), ("red", "r2"), ("blue", "b1"), ("blue", "b2")] {
        let commands: String = (0..200).map(|number| format!("Multicast,{id},{number}\n")).collect();
        programs.push(stage.client(id, commands + "sleep,1\n").args(["--group", group]).start());
    }
    all_end(&mut programs);
    for [one, other] in [["r1", "r2"], ["b1", "b2"]] {
        let delivered = stage.lines(one, "tom");
        assert_eq!(delivered, stage.lines(other, "tom"));
        assert_eq!(delivered.len(), 400);
        assert!(delivered.iter().all(|line| line.starts_with(&one[..1])));
        let numbers = stage
            .history(one)
            .iter()
            .filter_map(|event| event["number"].as_u64())
            .skip(1)
            .collect::<Vec<_>>();
        assert_eq!(numbers, (1..=400).collect::<Vec<_>>(), "each group counts for itself");
    }
}

#[test]
fn groups_failed_group_does_not_affect_others() {
    let stage = Stage::new();
    let [mut forwarder, mut router, mut sequencer] = stage.middle(2);
    let [mut r1, mut r2] = ["r1", "r2"].map(|id| stage.client(id, long(id)).args(["--group", "red"]).start());
    let commands = |id: &str| format!("Multicast,{id},x\nsleep,0.1\n").repeat(40);
    let blue = ["b1", "b2"].map(|id| stage.client(id, commands(id)).args(["--group", "blue"]).start());
    has_delivered(&stage, "r1", 4);
    r1.signal(Signal::INT);
    r1.ends(130);
    r2.says("view 2: r2");
    r2.signal(Signal::INT);
    r2.ends(130);
    let mut blue = blue;
    all_end(&mut blue);
    assert_eq!(stage.lines("b1", "tom").len(), 80);
    for program in [&mut forwarder, &mut router, &mut sequencer] {
        program.ends_saying(69, &["r1 left the run"]);
    }
}

#[test]
fn groups_group_deserted_before_its_start_does_not_fail_the_sequencer() {
    let stage = Stage::new();
    let [mut forwarder, mut router, mut sequencer] = stage.middle(2);
    let mut r1 = stage.client("r1", long("r1")).args(["--group", "red"]).start();
    r1.says("waiting for 1 more client");
    r1.signal(Signal::INT);
    r1.ends(130);
    sequencer.says("warning: red: ");
    let mut blue = ["b1", "b2"].map(|id| stage.client(id, short(id)).args(["--group", "blue"]).start());
    all_end(&mut blue);
    for program in [&mut forwarder, &mut router, &mut sequencer] {
        program.ends(0);
    }
}

/// A ring of groups, and a client that is in all of them; each group has three clients.
const RING: [(&str, &str); 4] = [("c1", "a,b"), ("c2", "b,c"), ("c3", "c,a"), ("c4", "a,b,c")];

/// Returns `count` multicasts to each of these groups, with a rest now and then.
fn multicasts(id: &str, groups: &str, count: usize, rest: &str) -> String {
    let mut commands = String::new();
    for number in 1..=count {
        for (place, group) in groups.split(',').enumerate() {
            let to = if place == 0 { String::new() } else { format!("@{group}") };
            commands += &format!("Multicast{to},{id},{number} to {group}\n");
        }
        if number % 25 == 0 {
            commands += rest;
        }
    }
    commands
}

/// Starts the clients of the ring.
fn ring(stage: &Stage, count: usize, rest: &str, more: &[&str]) -> Vec<Program> {
    let start = |(id, groups): (&str, &str)| {
        let client = stage.client(id, multicasts(id, groups, count, rest));
        client.args(["--group", groups]).args(more).start()
    };
    RING.map(start).into()
}

/// Returns the verdicts on a property, one for each group.
fn verdicts(stage: &Stage, property: &str) -> Vec<check::Verdict> {
    let judgements = judge_folder(&stage.out(), stage.dir()).unwrap();
    let all = judgements.iter().flat_map(check::Judgement::properties);
    all.filter(|(name, _)| *name == property).map(|(_, verdict)| verdict.clone()).collect()
}

/// Judges every group, and the order across all of them.
fn passes(stage: &Stage) {
    let judgements = judge_folder(&stage.out(), stage.dir()).unwrap();
    assert_eq!(judgements.len(), 3, "a judgement for each group");
    for judgement in &judgements {
        let verdicts = judgement.properties().map(|(_, verdict)| verdict);
        assert_eq!(check::exit(verdicts), Exit::Ok, "{}", judgement.lines());
    }
    assert_eq!(verdicts(stage, "across-groups"), vec![check::Verdict::Valid; 3]);
}

#[test]
fn groups_ring_of_shared_members_has_one_order() {
    for more in [&["--method", "bb"][..], &["--method", "ub"], &["--method", "uub"], &["--safe"]] {
        let stage = Stage::new();
        let mut programs: Vec<Program> = stage.middle(3).into();
        programs.extend(ring(&stage, 100, "sleep,0.01\n", more));
        all_end(&mut programs);
        passes(&stage);
        let lines = stage.lines("c1", "tom");
        assert_eq!(lines.len(), 600, "{more:?}");
        assert!(lines.iter().any(|line| line == "c4@b###100 to b"), "{more:?}");
        assert!(lines.iter().all(|line| line.contains("@a###") || line.contains("@b###")), "{more:?}");
        // Of what two clients get of all their groups, the files alone tell the same order.
        let [mine, theirs] = ["c1", "c4"].map(|id| {
            let is_shared = |line: &String| line.contains("@a###") || line.contains("@b###");
            stage.lines(id, "tom").into_iter().filter(is_shared).collect::<Vec<_>>()
        });
        assert_eq!(mine, theirs, "{more:?}");
    }
}

#[test]
fn groups_of_different_sizes_share_an_embedded_sequencer_and_members_of_one_group() {
    let stage = Stage::new();
    let forwarder = stage.forwarder(1).args(["--sequencer", "--group-clients", "a=3,b=2"]).start();
    let mut programs = vec![forwarder, stage.router().start()];
    let direct = "c1,c3,to c3 alone\n";
    programs.push(stage.client("c1", multicasts("c1", "a,b", 100, direct)).args(["--group", "a,b"]).start());
    programs.push(stage.client("c2", multicasts("c2", "b,a", 100, "")).args(["--group", "b,a"]).start());
    programs.push(stage.client("c3", multicasts("c3", "a", 100, "")).args(["--group", "a"]).start());
    all_end(&mut programs);
    assert_eq!(verdicts(&stage, "across-groups"), vec![check::Verdict::Valid; 2]);
    assert_eq!(stage.lines("c1", "tom"), stage.lines("c2", "tom"));
    assert_eq!(stage.lines("c3", "uno"), vec!["c1###to c3 alone"; 4]);
    assert!(stage.lines("c3", "tom").iter().all(|line| !line.contains('@')), "it is in one group");
}

#[test]
fn groups_survive_the_loss_of_their_sequencer() {
    let stage = Stage::new();
    let [mut forwarder, mut router, mut sequencer] = stage.middle(3);
    let mut clients = ring(&stage, 200, "sleep,0.3\n", &["--can-sequence", "--suspect-after", "1s"]);
    has_delivered(&stage, "c4", 50);
    sequencer.kill();
    clients[3].says("c: view 2: c2, c3 and c4");
    all_end(&mut clients);
    [&mut forwarder, &mut router].into_iter().for_each(|program| program.ends(0));
    passes(&stage);
}

#[test]
fn groups_client_that_is_lost_in_one_is_lost_in_all() {
    let stage = Stage::new();
    let [_forwarder, _router, _sequencer] = stage.middle(3);
    let mut clients = ring(&stage, 200, "sleep,0.3\n", &["--suspect-after", "1s"]);
    has_delivered(&stage, "c4", 50);
    clients[3].kill();
    for (client, group) in clients.iter_mut().zip(["a", "b", "c"]) {
        client.says(&format!("{group}: view 2: "));
        client.ends(0);
    }
    assert_eq!(verdicts(&stage, "agreement").len(), 3);
    assert!(verdicts(&stage, "across-groups").iter().all(|verdict| !verdict.is_violated()));
}

#[test]
fn groups_newcomer_to_one_of_them_gets_its_past() {
    let stage = Stage::new();
    let mut programs: Vec<Program> = stage.middle(3).into();
    programs.extend(ring(&stage, 200, "sleep,0.2\n", &[]));
    has_delivered(&stage, "c4", 50);
    let late = stage.client("c5", multicasts("c5", "a", 20, ""));
    programs.push(late.args(["--group", "a", "--join", "from-start"]).start());
    all_end(&mut programs);
    passes(&stage);
    assert_eq!(stage.lines("c5", "tom").len(), 620);
    let of_a = stage.lines("c1", "tom").into_iter().filter(|line| line.contains("@a###"));
    let of_a: Vec<String> = of_a.map(|line| line.replacen("@a###", "###", 1)).collect();
    assert_eq!(stage.lines("c5", "tom"), of_a);
}

#[test]
fn groups_client_that_leaves_leaves_all_of_them() {
    let stage = Stage::new();
    let mut programs: Vec<Program> = stage.middle(3).into();
    programs.extend(RING[..3].iter().map(|&(id, groups)| {
        stage.client(id, multicasts(id, groups, 200, "sleep,0.2\n")).args(["--group", groups]).start()
    }));
    let leaves = multicasts("c4", "a,b,c", 20, "") + "leave\n";
    let mut c4 = stage.client("c4", leaves).args(["--group", "a,b,c"]).start();
    c4.ends(0);
    all_end(&mut programs);
    passes(&stage);
    assert_eq!(stage.history("c4").iter().filter(|event| event["reason"] == "left").count(), 3);
}

#[test]
fn groups_client_that_waits_for_the_others_can_be_interrupted() {
    let stage = Stage::new();
    let [_forwarder, _router, _sequencer] = stage.middle(2);
    let [mut c1, mut c2] = ["c1", "c2"].map(|id| stage.client(id, long(id)).args(["--group", "a,b"]).start());
    has_delivered(&stage, "c1", 4);
    c1.signal(Signal::INT);
    c1.ends(130);
    c2.says("a: view 2: c2");
    c2.says("b: view 2: c2");
    c2.signal(Signal::TERM);
    c2.ends(143);
    let stage = Stage::new();
    let [_forwarder, _router, _sequencer] = stage.middle(2);
    let mut waiting = stage.client("c3", "").args(["--group", "c,d"]).start();
    waiting.says("waiting for 1 more client");
    waiting.signal(Signal::INT);
    waiting.ends(130);
}

#[test]
fn groups_other_orders_keep_their_promise_in_each_group() {
    let stage = Stage::new();
    let mut programs: Vec<Program> = vec![stage.forwarder(3).start(), stage.router().start()];
    programs.extend(ring(&stage, 50, "", &["--order", "causal"]));
    all_end(&mut programs);
    assert!(verdicts(&stage, "causal").iter().all(check::Verdict::is_valid));
    assert_eq!(verdicts(&stage, "causal").len(), 3);
}

#[test]
fn groups_that_cannot_be_are_refused() {
    let stage = Stage::new();
    for (groups, commands, code, words) in [
        ("a,b", "Multicast@d,c1,x\n", 65, "`d` is not a group of this client"),
        ("a", "Multicast@b,c1,x\n", 65, "`b` is not a group of this client"),
        ("a,b", "Multicast@,c1,x\n", 65, "`` is no name of a group"),
        ("a,b,a", "", 64, "--group names a twice"),
    ] {
        let (_, said) = stage.client("c1", commands).args(["--group", groups]).ends(code);
        assert!(said.contains(words), "{said}");
    }
    let (_, said) = stage.client("c1", "").args(["--group", "a,b", "--join"]).ends(64);
    assert!(said.contains("--join is for a client in one group"), "{said}");
    let (listed, _) = stage
        .client("c1", "Multicast@b,c1,x\nMulticast,c1,y\n")
        .args(["--group", "a,b", "--dry-run"])
        .ends(0);
    assert_eq!(listed, "     1  multicast to group b  x\n     2  multicast  y\n");
}

#[cfg(feature = "known-bad")]
#[test]
fn groups_unmerged_are_detected() {
    let is_found = (0..5).any(|_| {
        let stage = Stage::new();
        let mut programs: Vec<Program> = stage.middle(3).into();
        programs.extend(ring(&stage, 200, "sleep,0.01\n", &["--known-bad", "groups-unmerged"]));
        all_end(&mut programs);
        verdicts(&stage, "across-groups").iter().all(check::Verdict::is_violated)
    });
    assert!(is_found, "five runs without a merge had one order");
}
