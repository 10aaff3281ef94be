//! Bytes that nobody guesses and no other draws: of clusters' keys, sessions, clients, and of the policy of one response.

use std::io;

use rustix::rand::{GetRandomFlags, getrandom};

/// Returns random bytes, at most 256.
///
/// # Errors
/// That of a system without randomness.
pub(crate) fn bytes<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    // A request as short as this is not cut short.
    getrandom(&mut bytes, GetRandomFlags::empty())?;
    Ok(bytes)
}

/// Returns a random key of 32 hexadecimal digits.
#[cfg(feature = "web")]
pub(crate) fn random() -> String {
    // A kernel without randomness has no loopback either.
    bytes::<16>().unwrap_or_default().iter().map(|byte| format!("{byte:02x}")).collect()
}
