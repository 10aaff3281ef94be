//! The scenarios of `testdata/scenarios`: a peer is lost, messages are in order, one that is late holds later ones back, the
//! sequencer is lost. Each is judged by the oracles, and shows what it is about.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::harness::{events, lines, side_by_side};
use crate::tools::run::{output, text};

/// A scenario that has been run.
struct Ran {
    _folder: tempfile::TempDir,
    results: PathBuf,
}

impl Ran {
    /// Runs a scenario, which must pass.
    fn scenario(name: &str, arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let scenario =
            Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("testdata/scenarios/{name}/scenario.toml"));
        let ran = output(folder.path(), &[&[scenario.to_str().unwrap()], arguments].concat());
        let said = text(&ran.stdout);
        assert_eq!(ran.status.code(), Some(0), "{name}: {said}{}", text(&ran.stderr));
        assert!(said.contains("PASS") && said.contains("total           valid"), "{name}: {said}");
        let results = folder.path().join("runs/latest");
        Self { _folder: folder, results }
    }

    fn lines(&self, id: &str) -> Vec<String> {
        lines(&self.results.join(format!("test_result_{id}_tom.txt")))
    }

    fn history(&self, id: &str) -> Vec<Value> {
        events(&self.results.join(format!("history_{id}.jsonl")))
    }

    /// The last view of a peer.
    fn view(&self, id: &str) -> Vec<String> {
        let history = self.history(id);
        let view = history.iter().rfind(|event| event["event"] == "view").unwrap();
        view["members"].as_array().unwrap().iter().map(|id| id.as_str().unwrap().to_owned()).collect()
    }
}

#[test]
fn failover_peer_dies_is_excluded_and_others_continue() {
    side_by_side(2, 2, |number| {
        let ran = Ran::scenario("detected", [&[][..], &["--safe"]][number]);
        let given = ran.lines("c1");
        assert_eq!(given, ran.lines("c2"));
        assert!((80..120).contains(&given.len()), "{}", given.len());
        for id in ["c1", "c2"] {
            assert_eq!(ran.view(id), ["c1", "c2"]);
        }
        // With --safe the survivors have delivered everything that the dead member delivered.
        let part = fs::read_to_string(ran.results.join("test_result_c3_tom.txt.part")).unwrap();
        let dead: Vec<&str> = part.lines().filter(|_| part.ends_with('\n')).collect();
        assert!(number == 0 || dead.iter().zip(&given).all(|(dead, living)| dead == living), "{dead:?}");
    });
}

#[test]
fn scenario_messages_of_one_peer_are_in_order_at_every_member() {
    let ran = Ran::scenario("ordered", &[]);
    let given = ran.lines("c1");
    assert_eq!((&given, &given), (&ran.lines("c2"), &ran.lines("c3")));
    let own: Vec<&String> = given.iter().filter(|line| line.starts_with("c1###")).collect();
    assert_eq!(own, ["c1###hola1", "c1###hola2", "c1###hola3"]);
    assert_eq!(given.len(), 6);
}

#[test]
fn scenario_late_message_holds_back_later_ones() {
    let ran = Ran::scenario("delayed", &["--trace"]);
    let given = ran.lines("c1");
    assert_eq!((&given, &given), (&ran.lines("c2"), &ran.lines("c3")));
    let own: Vec<&String> = given.iter().filter(|line| line.starts_with("c2###")).collect();
    assert_eq!(
        own,
        (1..=30).map(|number| format!("c2###hola{number}")).collect::<Vec<_>>().iter().collect::<Vec<_>>()
    );
    let waits = |id| ran.history(id).iter().filter(|event| event["event"] == "wait").count();
    assert!(["c1", "c2", "c3"].into_iter().map(waits).sum::<usize>() > 0, "nothing waited");
}

#[test]
fn failover_sequencer_dies_election_chooses_a_client() {
    loses_its_sequencer("elected");
}

#[test]
fn failover_sequencer_dies_returned_standby_takes_over() {
    let ran = loses_its_sequencer("standby");
    let said = fs::read_to_string(ran.results.join("standby.log")).unwrap();
    assert!(said.contains("main: takes the place of sequencer"), "{said}");
}

fn loses_its_sequencer(scenario: &str) -> Ran {
    let ran = Ran::scenario(scenario, &[]);
    let given = ran.lines("c1");
    assert_eq!((given.len(), &given, &given), (120, &ran.lines("c2"), &ran.lines("c3")));
    let numbers = ran.history("c1").into_iter().filter(|event| event["event"] == "deliver");
    let numbers: Vec<u64> = numbers.map(|event| event["number"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=120).collect::<Vec<_>>());
    assert_eq!(ran.view("c1"), ["c1", "c2", "c3"]);
    ran
}
