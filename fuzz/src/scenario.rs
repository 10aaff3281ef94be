//! The two grammars that a person writes beside command files: `scenario.toml`, and the proxy's script of faults.

use groupcast::fuzzing;

/// The input is either.
pub fn run(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Err(failure) = fuzzing::scenario(text) {
        let _ = failure.to_string();
    }
    match fuzzing::faults(text) {
        Ok(faults) => assert_eq!(fuzzing::faults(&faults.join("\n")), Ok(faults), "said again"),
        Err(failure) => assert!(failure.message.starts_with("input:"), "{failure}"),
    }
}
