//! The bodies of all fuzz targets: each processes an input and asserts properties of the result.
//!
//! `fuzz_targets/` runs them under libFuzzer; `tests/suite/protocol/fuzzed.rs` includes this file and runs them on the corpora,
//! so that every input that ever failed is tried again in an ordinary test.

pub mod cluster_file;
pub mod commands;
pub mod datagram;
pub mod engines;
pub mod feed;
pub mod keys;
pub mod messages;
pub mod records;
pub mod results;
pub mod scenario;
pub mod wire;
pub mod zap;

/// A function that processes an input.
pub type Target = fn(&[u8]);

/// All targets; the corpus of each is the folder of this name.
pub const TARGETS: [(&str, Target); 11] = [
    ("cluster_file", cluster_file::run),
    ("commands", commands::run),
    ("datagram", datagram::run),
    ("engines", engines::run),
    ("keys", keys::run),
    ("messages", messages::run),
    ("records", records::run),
    ("results", results::run),
    ("scenario", scenario::run),
    ("wire", wire::run),
    ("zap", zap::run),
];
