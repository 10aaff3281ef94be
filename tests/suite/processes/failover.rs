//! Members and sequencers that die or sleep under load: the others go on, and have the same.

use std::time::Duration;

use groupcast::check::judge_folder;
use rustix::process::Signal;

use super::support::MidRun;
use crate::harness::{Launch, Program, Stage, all_end, pause, side_by_side, until};

/// After so long a silence a member is taken for lost.
const SUSPECT: [&str; 2] = ["--suspect-after", "2s"];
const MESSAGES: usize = 3_000;

/// Length of each text. Batches are then long enough that a sequencer process receives outlines.
const LENGTH: usize = 500;

/// Enough to be in the middle of it for some seconds.
fn load(id: &str) -> String {
    (0..MESSAGES / 10)
        .map(|block| {
            let lines: String =
                (0..10).map(|line| format!("Multicast,{id},{:0LENGTH$}\n", block * 10 + line)).collect();
            lines + "sleep,0.02\n"
        })
        .collect()
}

/// A group under load: those in the middle, and three clients.
struct Loaded {
    stage: Stage,
    forwarder: Program,
    router: Program,
    sequencer: Option<Program>,
    standbys: Vec<Program>,
    clients: Vec<Program>,
    suffix: &'static str,
}

impl Loaded {
    fn new(order: &str, method: &str, arguments: &[&str]) -> Self {
        Self::with_standbys(0, order, method, arguments)
    }

    fn with_standbys(count: usize, order: &str, method: &str, arguments: &[&str]) -> Self {
        let stage = Stage::new();
        let (forwarder, router) = (stage.forwarder(3).start(), stage.router().start());
        let sequencer = (order == "total").then(|| stage.sequencer().args(SUSPECT).start());
        let mut standbys: Vec<Program> =
            (1..=count).map(|number| stand_by(&stage, &format!("standby{number}"))).collect();
        standbys.iter_mut().for_each(|standby| standby.says("asking the forwarder"));
        let client = |id: &str| {
            let mut options = vec!["--order", order];
            if order == "total" {
                options.extend(["--method", method]);
            }
            stage.client(id, load(id)).args(options).args(SUSPECT).args(arguments).start()
        };
        let clients: Vec<Program> = ["c1", "c2", "c3"].map(client).into();
        let suffix = match order {
            "total" | "lamport" | "agreed" => "tom",
            "unordered" => "unordered",
            "fifo" => "fifo",
            _ => "causal",
        };
        let loaded = Self { stage, forwarder, router, sequencer, standbys, clients, suffix };
        loaded.is_busy();
        loaded
    }

    /// Waits until every client has written down something.
    fn is_busy(&self) {
        for id in ["c1", "c2", "c3"] {
            let path = self.stage.out().join(format!("test_result_{id}_{}.txt.part", self.suffix));
            until(&format!("{id} delivers"), || {
                (std::fs::metadata(&path).ok()?.len() > 20_000).then_some(())
            });
        }
    }

    /// Those in the middle and these clients end well, and have been given the same.
    fn end(&mut self, survivors: &[usize]) -> Vec<Vec<String>> {
        self.forwarder.ends(0);
        self.router.ends(0);
        let lines = survivors.iter().map(|&number| {
            self.clients[number].ends(0);
            self.stage.lines(&format!("c{}", number + 1), self.suffix)
        });
        let mut lines: Vec<Vec<String>> = lines.collect();
        assert!(
            lines.iter().flatten().all(|line| line.len() == "c1###".len() + LENGTH),
            "no text is left out"
        );
        if self.suffix != "tom" {
            lines.iter_mut().for_each(|lines| lines.sort_unstable());
        }
        for other in &lines[1..] {
            assert!(lines[0] == *other, "{} and {} lines", lines[0].len(), other.len());
        }
        lines
    }
}

/// A process that stands by.
fn stand_by(stage: &Stage, id: &str) -> Program {
    stage.sequencer().env("GROUPCAST_STANDBY", "1").args(["--id", id]).args(SUSPECT).start()
}

/// How many of these lines are of this client.
fn count(lines: &[String], id: &str) -> usize {
    lines.iter().filter(|line| line.starts_with(&format!("{id}###"))).count()
}

#[test]
fn failover_sequencer_killed_client_takes_over() {
    let methods = ["bb", "ub", "uub"];
    side_by_side(methods.len(), 1, |number| {
        let mut loaded = Loaded::new("total", methods[number], &["--can-sequence"]);
        loaded.sequencer.as_mut().unwrap().kill();
        let lines = loaded.end(&[0, 1, 2]);
        assert_eq!(lines[0].len(), 3 * MESSAGES, "nothing is lost, nothing comes twice");
    });
}

#[test]
fn failover_sequencer_killed_standby_takes_over() {
    let methods = ["bb", "ub", "uub"];
    side_by_side(methods.len(), 1, |number| {
        let mut loaded = Loaded::with_standbys(1, "total", methods[number], &[]);
        loaded.standbys[0].says("main: stands by for sequencer, with 3 clients");
        loaded.sequencer.as_mut().unwrap().kill();
        let lines = loaded.end(&[0, 1, 2]);
        assert_eq!(lines[0].len(), 3 * MESSAGES, "nothing is lost, nothing comes twice");
        loaded.standbys[0].says("main: takes the place of sequencer in view");
        loaded.standbys[0].ends(0);
    });
}

#[test]
fn failover_new_sequencer_killed_second_standby_takes_over() {
    let methods = ["bb", "ub", "uub"];
    side_by_side(methods.len(), 1, |number| {
        let mut loaded = Loaded::with_standbys(2, "total", methods[number], &[]);
        loaded.standbys.iter_mut().for_each(|standby| standby.says("main: stands by for sequencer"));
        loaded.sequencer.as_mut().unwrap().kill();
        let takes =
            |program: &Program| program.stderr().contains("main: takes the place of sequencer in view");
        let first = until("somebody takes over", || loaded.standbys.iter().position(takes));
        let second = 1 - first;
        loaded.standbys[first].kill();
        loaded.standbys[second].says(&format!("main: takes the place of standby{} in view", first + 1));
        let lines = loaded.end(&[0, 1, 2]);
        assert_eq!(lines[0].len(), 3 * MESSAGES, "nothing is lost, nothing comes twice");
        loaded.standbys[second].ends(0);
    });
}

#[test]
fn failover_standby_joins_in_mid_run_takes_over_from_new_sequencer() {
    let methods = ["bb", "ub", "uub"];
    side_by_side(methods.len(), 1, |number| {
        let mut loaded = Loaded::with_standbys(1, "total", methods[number], &[]);
        let mut first = loaded.standbys.remove(0);
        first.says("main: stands by for sequencer");
        loaded.sequencer.as_mut().unwrap().kill();
        first.says("main: takes the place of sequencer in view");
        let mut second = stand_by(&loaded.stage, "second");
        second.says("main: stands by for standby1, with 3 clients");
        let members = ["members", "--json", "--port-base", &loaded.stage.port(0).to_string()];
        until("it is shown", || {
            let (shown, _) = loaded.stage.bare("groupcast").args(members).ends(0);
            let group: serde_json::Value = serde_json::from_str(&shown).unwrap();
            let rows = group["members"].as_array().unwrap();
            let row = rows.iter().find(|row| row["id"] == "second").unwrap();
            assert_eq!((&row["role"], &row["leads"]), (&"standby".into(), &false.into()), "{group}");
            (row["view"] == group["view"] && group["leader"] == "standby1").then_some(())
        });
        first.kill();
        second.says("main: takes the place of standby1 in view");
        let mut again = stand_by(&loaded.stage, "standby1");
        again.says("main: stands by for second, with 3 clients");
        second.kill();
        again.says("main: takes the place of second in view");
        let lines = loaded.end(&[0, 1, 2]);
        assert_eq!(lines[0].len(), 3 * MESSAGES, "nothing is lost, nothing comes twice");
        again.ends(0);
        for judgement in judge_folder(&loaded.stage.out(), loaded.stage.dir()).unwrap() {
            for (property, verdict) in judgement.properties() {
                assert!(!verdict.is_violated(), "{property}");
            }
        }
    });
}

#[test]
fn failover_restarted_sequencer_becomes_standby() {
    side_by_side(2, 1, |number| {
        let mut loaded = Loaded::with_standbys(1, "total", "bb", &[]);
        loaded.standbys[0].says("main: stands by for sequencer");
        loaded.sequencer.as_mut().unwrap().kill();
        // Before anybody has missed it, or later.
        if number == 1 {
            loaded.standbys[0].says("main: takes the place of sequencer in view");
        }
        let mut again = loaded.stage.sequencer().args(SUSPECT).start();
        again.says("main: stands by for standby1, with 3 clients");
        loaded.standbys[0].kill();
        again.says("main: takes the place of standby1 in view");
        let lines = loaded.end(&[0, 1, 2]);
        assert_eq!(lines[0].len(), 3 * MESSAGES, "nothing is lost, nothing comes twice");
        again.ends(0);
    });
}

#[test]
fn failover_stopped_sequencer_replaced_by_standby_is_left_behind() {
    let mut loaded = Loaded::with_standbys(1, "total", "bb", &[]);
    let mut sequencer = loaded.sequencer.take().unwrap();
    loaded.standbys[0].says("main: stands by for sequencer");
    sequencer.signal(Signal::STOP);
    loaded.standbys[0].says("main: takes the place of sequencer in view");
    sequencer.signal(Signal::CONT);
    let lines = loaded.end(&[0, 1, 2]);
    assert_eq!(lines[0].len(), 3 * MESSAGES);
    sequencer.ends_saying(69, &["the group went on without this member"]);
    loaded.standbys[0].ends(0);
}

#[test]
fn failover_client_killed_others_continue() {
    let orders = [
        ("unordered", ""),
        ("fifo", ""),
        ("causal", ""),
        ("total", "bb"),
        ("total", "ub"),
        ("total", "uub"),
        ("lamport", ""),
        ("agreed", ""),
    ];
    side_by_side(orders.len(), 1, |number| {
        let (order, method) = orders[number];
        let mut loaded = Loaded::new(order, method, &[]);
        loaded.clients[2].kill();
        let mut sequencer = loaded.sequencer.take();
        let lines = loaded.end(&[0, 1]);
        for id in ["c1", "c2"] {
            assert_eq!(count(&lines[0], id), MESSAGES, "{order} {method}");
        }
        if let Some(sequencer) = &mut sequencer {
            sequencer.ends(0);
        }
    });
}

#[test]
fn failover_stopped_client_is_left_behind() {
    let mut loaded = Loaded::new("total", "bb", &["--can-sequence"]);
    loaded.clients[2].signal(Signal::STOP);
    pause(Duration::from_secs(4));
    loaded.clients[2].signal(Signal::CONT);
    loaded.clients[2].ends_saying(69, &["the group went on without this member"]);
    let mut sequencer = loaded.sequencer.take().unwrap();
    let lines = loaded.end(&[0, 1]);
    assert_eq!((count(&lines[0], "c1"), count(&lines[0], "c2")), (MESSAGES, MESSAGES));
    sequencer.ends(0);
}

#[test]
fn failover_client_stopped_until_end_of_run_is_left_behind() {
    let stage = Stage::new();
    let mut middle =
        [stage.forwarder(2).start(), stage.router().start(), stage.sequencer().args(SUSPECT).start()];
    let client = |id: &str| {
        let commands = format!("Multicast,{id},a\nsleep,4\nMulticast,{id},b\n");
        stage.client(id, commands).args(SUSPECT).start()
    };
    let [mut awake, mut asleep] = ["c1", "c2"].map(client);
    asleep.says("start of main");
    asleep.signal(Signal::STOP);
    awake.ends(0);
    asleep.signal(Signal::CONT);
    asleep.ends_saying(69, &["the group went on without this member", "partial: "]);
    middle.iter_mut().for_each(|program| program.ends(0));
}

#[test]
fn failover_stopped_sequencer_replaced_by_client_is_left_behind() {
    let mut loaded = Loaded::new("total", "bb", &["--can-sequence"]);
    let mut sequencer = loaded.sequencer.take().unwrap();
    sequencer.signal(Signal::STOP);
    pause(Duration::from_secs(4));
    sequencer.signal(Signal::CONT);
    let lines = loaded.end(&[0, 1, 2]);
    assert_eq!(lines[0].len(), 3 * MESSAGES);
    sequencer.ends_saying(69, &["the group went on without this member"]);
}

#[test]
fn failover_sequencer_killed_without_candidate_ends_the_run() {
    let mut loaded = Loaded::new("total", "bb", &[]);
    loaded.sequencer.as_mut().unwrap().kill();
    for client in &mut loaded.clients {
        client.ends_saying(69, &["error: ", "nobody can take its place"]);
    }
    loaded.forwarder.ends(69);
}

#[test]
fn signal_sequencer_or_standby_waiting_at_barrier_is_interrupted() {
    let stage = Stage::new();
    let _middle = (stage.forwarder(2).args(["--start-timeout", "1000s"]).start(), stage.router().start());
    let programs = [stage.sequencer(), stage.sequencer().arg("--standby")].map(Launch::start);
    let _client = stage.client("c1", "Multicast,c1,x\n").start();
    for mut program in programs {
        program.says("waiting for 1 more client");
        program.signal(Signal::INT);
        program.ends(130);
    }
}

/// The forwarder is away for so long that everybody takes everybody for lost, and one client has nothing left to say.
#[test]
fn failover_member_done_alone_does_not_end_the_run_of_lost_members() {
    let stage = Stage::new();
    let (mut forwarder, mut router) = (stage.forwarder(3).start(), stage.router().start());
    let few = "Multicast,c1,x\n".to_owned();
    let many =
        |id: &str| (0..60).map(|line| format!("Multicast,{id},{line}\nsleep,0.1\n")).collect::<String>();
    let suspect = ["--order", "fifo", "--suspect-after", "1s"];
    let start = |(id, commands): (&str, String)| stage.client(id, commands).args(suspect).start();
    let mut clients = [("c1", few), ("c2", many("c2")), ("c3", many("c3"))].map(start);
    clients.iter_mut().for_each(|client| client.says("start of main"));
    forwarder.signal(Signal::STOP);
    clients.iter_mut().for_each(|client| client.says("view 2"));
    forwarder.signal(Signal::CONT);
    let codes = clients.each_mut().map(Program::wait);
    assert!(codes.iter().all(|code| [0, 69].contains(code)) && codes.contains(&0), "{codes:?}");
    forwarder.ends(0);
    router.ends(0);
    for (id, code) in ["c2", "c3"].iter().zip(&codes[1..]).filter(|(_, code)| **code == 0) {
        let own = stage.lines(id, "fifo").iter().filter(|line| line.starts_with(&format!("{id}###"))).count();
        assert_eq!(own, 60, "{id} ended with {code}, and not all that it was to send was sent");
    }
}

/// One after the other these would take minutes of waiting.
#[test]
fn failover_dead_process_is_named_by_the_others() {
    let deaths: [fn(); 7] = [
        the_forwarder_dies,
        a_client_dies,
        the_sequencer_dies_and_nobody_can_take_its_place,
        the_router_dies,
        || nobody_is_there("sequencer"),
        || nobody_is_there("router"),
        a_client_stands_still_for_a_while,
    ];
    side_by_side(deaths.len(), deaths.len(), |number| deaths[number]());
}

const SOON: Duration = Duration::from_secs(20);

fn the_forwarder_dies() {
    let mut run = MidRun::new();
    run.forwarder.kill();
    run.the_others_end("forwarder", &["error: the forwarder at tcp://127.0.0.1:", "help: "], SOON);
    run.both_have_partial_results();
    for client in [&run.c1, &run.c2] {
        assert!(client.stderr().contains("partial: 2 multicast, 4 delivered"), "{}", client.stderr());
    }
}

fn a_client_dies() {
    let mut run = MidRun::new();
    run.c2.kill();
    run.c1.says("c2 is gone (silent for ");
    run.c1.says("view 2: c1");
    run.both_have_partial_results();
}

fn the_router_dies() {
    let mut run = MidRun::new();
    run.router.kill();
    run.the_others_end("router", &["error: ", "router is lost"], SOON);
    run.both_have_partial_results();
}

fn the_sequencer_dies_and_nobody_can_take_its_place() {
    let mut run = MidRun::new();
    run.sequencer.kill();
    for program in [&mut run.c1, &mut run.c2, &mut run.forwarder, &mut run.router] {
        program.ends_saying(69, &["error: "]);
    }
    run.both_have_partial_results();
}

fn nobody_is_there(who: &str) {
    let stage = Stage::new();
    let mut program = stage.program(who).start();
    let endpoint = format!("the forwarder at tcp://127.0.0.1:{}", stage.port(2));
    program.ends_saying(
        69,
        &[&format!("waiting for {endpoint}"), &format!("error: {endpoint} does not answer")],
    );
}

fn a_client_stands_still_for_a_while() {
    let stage = Stage::new();
    let mut programs: Vec<Program> = stage.middle(3).into();
    for id in ["c1", "c2", "c3"] {
        let commands: String = (0..10_000).map(|number| format!("Multicast,{id},{number}\n")).collect();
        programs.push(stage.client(id, commands).start());
    }
    for index in [3, 2, 1, 0] {
        pause(Duration::from_millis(30));
        programs[index].signal(Signal::STOP);
        pause(Duration::from_secs(2));
        programs[index].signal(Signal::CONT);
    }
    all_end(&mut programs);
    assert_eq!(stage.lines("c1", "tom").len(), 30_000);
    assert_eq!(stage.lines("c1", "tom"), stage.lines("c2", "tom"));
    assert_eq!(stage.lines("c1", "tom"), stage.lines("c3", "tom"));
}
