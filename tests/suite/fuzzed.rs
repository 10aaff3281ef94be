//! The inputs that fuzzing has found worth keeping, each run once through its target: `fuzz/` without a fuzzer.

use std::fs;
use std::path::Path;

#[path = "../../fuzz/src/lib.rs"]
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
fn commands() {
    replay("commands");
}

#[test]
fn engines() {
    replay("engines");
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
fn every_target_is_run() {
    let folder = |name: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(name);
    let names = |folder| {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().path().file_stem().unwrap().to_owned()).collect();
        names.sort();
        names
    };
    let targets = bodies::TARGETS.map(|(name, _)| name.into());
    assert_eq!(names(folder("corpus")), targets);
    assert_eq!(names(folder("fuzz_targets")), targets);
}
