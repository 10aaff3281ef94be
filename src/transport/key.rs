//! Keys that nobody guesses and no other draws: of sessions, of clients, and of the policy of one response.

use rustix::rand::{GetRandomFlags, getrandom};

/// Returns a random key of 32 hexadecimal digits.
pub(crate) fn random() -> String {
    let mut bytes = [0; 16];
    // A kernel without randomness has no loopback either.
    let _ = getrandom(&mut bytes, GetRandomFlags::empty());
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
