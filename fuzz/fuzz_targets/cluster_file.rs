//! Runs the target `cluster_file` of this crate under libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| groupcast_fuzz::cluster_file::run(input));
