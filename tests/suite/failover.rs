//! Members and sequencers that die or sleep under load: the others go on, and have the same.

use std::time::Duration;

use rustix::process::Signal;

use crate::harness::{Program, Stage, pause, side_by_side, until};

/// After so long a silence a member is taken for lost.
const SUSPECT: [&str; 2] = ["--suspect-after", "2s"];
const MESSAGES: usize = 3_000;

/// Enough to be in the middle of it for some seconds.
fn load(id: &str) -> String {
    (0..MESSAGES / 10)
        .map(|block| {
            let lines: String =
                (0..10).map(|line| format!("Multicast,{id},{}\n", block * 10 + line)).collect();
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
        let standby = |number: usize| {
            let id = format!("standby{number}");
            stage.sequencer().env("GROUPCAST_STANDBY", "1").args(["--id", &id]).args(SUSPECT).start()
        };
        let mut standbys: Vec<Program> = (1..=count).map(standby).collect();
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
            until(&format!("{id} delivers"), || (std::fs::metadata(&path).ok()?.len() > 2_000).then_some(()));
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
        if self.suffix != "tom" {
            lines.iter_mut().for_each(|lines| lines.sort_unstable());
        }
        for other in &lines[1..] {
            assert!(lines[0] == *other, "{} and {} lines", lines[0].len(), other.len());
        }
        lines
    }
}

/// How many of these lines are of this client.
fn count(lines: &[String], id: &str) -> usize {
    lines.iter().filter(|line| line.starts_with(&format!("{id}###"))).count()
}

#[test]
fn the_sequencer_is_killed_and_a_client_takes_its_place() {
    let methods = ["bb", "ub", "uub"];
    side_by_side(methods.len(), 1, |number| {
        let mut loaded = Loaded::new("total", methods[number], &["--can-sequence"]);
        loaded.sequencer.as_mut().unwrap().kill();
        let lines = loaded.end(&[0, 1, 2]);
        assert_eq!(lines[0].len(), 3 * MESSAGES, "nothing is lost, nothing comes twice");
    });
}

#[test]
fn a_standby_takes_the_place_of_a_sequencer_that_is_killed() {
    let methods = ["bb", "ub", "uub"];
    side_by_side(methods.len(), 1, |number| {
        let mut loaded = Loaded::with_standbys(1, "total", methods[number], &[]);
        loaded.standbys[0].says("main: stands by for sequencer, with 3 clients");
        loaded.sequencer.as_mut().unwrap().kill();
        let lines = loaded.end(&[0, 1, 2]);
        assert_eq!(lines[0].len(), 3 * MESSAGES, "nothing is lost, nothing comes twice");
        loaded.standbys[0].says("main: takes the place of sequencer in view 2, numbering for 3 clients");
        loaded.standbys[0].ends(0);
    });
}

#[test]
fn the_standby_that_took_over_is_killed_too() {
    let methods = ["bb", "ub", "uub"];
    side_by_side(methods.len(), 1, |number| {
        let mut loaded = Loaded::with_standbys(2, "total", methods[number], &[]);
        loaded.sequencer.as_mut().unwrap().kill();
        let takes = |program: &Program| program.stderr().contains("takes the place of sequencer in view 2, ");
        let first = until("somebody takes over", || loaded.standbys.iter().position(takes));
        let second = 1 - first;
        loaded.standbys[first].kill();
        loaded.standbys[second].says(&format!("takes the place of standby{} in view 3", first + 1));
        let lines = loaded.end(&[0, 1, 2]);
        assert_eq!(lines[0].len(), 3 * MESSAGES, "nothing is lost, nothing comes twice");
        loaded.standbys[second].ends(0);
    });
}

#[test]
fn a_sequencer_that_was_only_asleep_finds_a_standby_in_its_place() {
    let mut loaded = Loaded::with_standbys(1, "total", "bb", &[]);
    let mut sequencer = loaded.sequencer.take().unwrap();
    sequencer.signal(Signal::STOP);
    loaded.standbys[0].says("takes the place of sequencer in view 2");
    sequencer.signal(Signal::CONT);
    let lines = loaded.end(&[0, 1, 2]);
    assert_eq!(lines[0].len(), 3 * MESSAGES);
    sequencer.ends_saying(69, &["the group went on without this member"]);
    loaded.standbys[0].ends(0);
}

#[test]
fn a_client_is_killed_and_the_others_go_on() {
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
fn who_slept_too_long_is_told_that_the_group_went_on() {
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
fn a_sequencer_that_slept_too_long_steps_back() {
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
fn without_anybody_to_take_the_sequencers_place_the_run_ends() {
    let mut loaded = Loaded::new("total", "bb", &[]);
    loaded.sequencer.as_mut().unwrap().kill();
    for client in &mut loaded.clients {
        client.ends_saying(69, &["error: ", "nobody can take its place"]);
    }
    loaded.forwarder.ends(69);
}
