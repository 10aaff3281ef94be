//! Runs the target `keys` of this crate under libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| groupcast_fuzz::keys::run(input));
