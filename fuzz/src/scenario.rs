//! The two file formats that people write beside command files: `scenario.toml`, and the proxy's script of faults.

use groupcast::fuzzing;

/// Runs the target: the input is parsed as both.
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
