//! Runs the target `records` of this crate under libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| groupcast_fuzz::records::run(input));
