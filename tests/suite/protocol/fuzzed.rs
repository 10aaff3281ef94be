//! The inputs that fuzzing has found worth keeping, each run once through its target: `fuzz/` without a fuzzer.

use std::fs;
use std::path::Path;

#[path = "../../../fuzz/src/lib.rs"]
#[allow(unreachable_pub, reason = "it is a crate of its own, too")]
mod bodies;

fn replay(name: &str) {
    let (_, target) = bodies::TARGETS.into_iter().find(|(known, _)| *known == name).expect("a target");
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let mut inputs: Vec<_> = fs::read_dir(corpus).unwrap().map(|entry| entry.unwrap().path()).collect();
    inputs.sort();
    assert!(inputs.len() >= 10, "{name} has only {} inputs", inputs.len());
    for input in inputs {
        eprintln!("{}", input.display());
        target(&fs::read(input).unwrap());
    }
}

#[test]
fn cluster_file() {
    replay("cluster_file");
}

#[test]
fn commands() {
    replay("commands");
}

#[test]
fn datagram() {
    replay("datagram");
}

#[test]
fn engines() {
    replay("engines");
}

#[test]
fn keys() {
    replay("keys");
}

#[test]
fn messages() {
    replay("messages");
}

#[test]
fn records() {
    replay("records");
}

#[test]
fn results() {
    replay("results");
}

#[test]
fn scenario() {
    replay("scenario");
}

#[test]
fn wire() {
    replay("wire");
}

#[test]
fn zap() {
    replay("zap");
}

/// Honest members on a bad network, as an input of the target `engines`.
#[cfg(feature = "known-bad")]
fn bad_network(dice: &mut groupcast::prng::Prng) -> Vec<u8> {
    let mut input: Vec<u8> = (0..3).map(|_| dice.below(256) as u8).collect();
    for _ in 0..80 {
        let step = [0, 1, 2, 3, 4, 5, 7, 8, 9, 15][dice.below(10) as usize];
        let arguments = match step {
            0..=2 => 3,
            _ => 1,
        };
        input.push(step);
        input.extend((0..arguments).map(|_| dice.below(128) as u8));
    }
    input
}

/// Every engine that is broken on purpose is found out by few inputs.
#[cfg(feature = "known-bad")]
#[test]
fn fuzzed_broken_engines_are_detected() {
    use groupcast::defect::{Defect, Defects};
    // Those of a membership take members that are lost: see `views` and `model`; those of replicas a cluster: `clusters`;
    // those of several groups, and of a log: `simulation`.
    let is_of_others = |defect| {
        let all = [
            Defect::NoFencing,
            Defect::NoAdoption,
            Defect::ForgetsOpen,
            Defect::ForgetsUnstable,
            Defect::ForgetsUndeliverable,
            Defect::SendEarly,
            Defect::AcknowledgeEarly,
            Defect::ConfirmEarly,
            Defect::WordAlone,
            Defect::ReachableOnly,
            Defect::NoMajority,
            Defect::NoCauses,
            Defect::MixedPairs,
            Defect::EpochAlone,
            Defect::NoFloor,
            Defect::NoCut,
            Defect::NoSendingOn,
            Defect::GroupsUnmerged,
            Defect::SpeaksBeforeSync,
        ];
        all.contains(&defect)
    };
    for (name, defect) in Defect::ALL.into_iter().filter(|(_, defect)| !is_of_others(*defect)) {
        let mut dice = groupcast::prng::Prng::new(1);
        let is_found = |input: Vec<u8>| {
            let run = || bodies::engines::run_with(&input, Defects::only(defect));
            std::panic::catch_unwind(run).is_err()
        };
        let found = (0..2000).position(|_| is_found(bad_network(&mut dice)));
        eprintln!("{name}: found by input {found:?}");
        assert!(found.is_some(), "{name} is not found");
    }
}

/// Among what a group does, words of the membership from strangers: the target holds each member to its twin.
#[test]
fn fuzzed_view_messages_of_strangers_change_nothing() {
    let mut dice = groupcast::prng::Prng::new(2);
    for _ in 0..500 {
        let mut input: Vec<u8> = (0..3).map(|_| dice.below(256) as u8).collect();
        for _ in 0..100 {
            input.push(if dice.below(2) == 0 { 14 } else { dice.below(11) as u8 });
            input.extend((0..18).map(|_| dice.below(256) as u8));
        }
        bodies::engines::run(&input);
    }
}

#[test]
fn fuzzed_every_target_has_a_corpus() {
    let folder = |name: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(name);
    let names = |folder| {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().path().file_stem().unwrap().to_owned()).collect();
        names.sort();
        names
    };
    let targets = bodies::TARGETS.map(|(name, _)| std::ffi::OsString::from(name));
    assert_eq!(names(folder("corpus")), targets);
    assert_eq!(names(folder("fuzz_targets")), targets);
}
