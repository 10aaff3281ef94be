//! Keys of CURVE, ZeroMQ's encryption: pairs that ZeroMQ makes, and their form as text.

use std::ffi::{CString, c_char, c_int};
use std::fmt;

use super::z85::{self, KEY_BYTES, KEY_LETTERS};
use crate::exit::{Exit, Failure};

/// Letters by which people tell keys apart.
const SHORT: usize = 8;

/// A public key: a process proves that it has the secret one that belongs to it.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
pub struct PublicKey(pub [u8; KEY_BYTES]);

/// A secret key. It is never shown by a message.
#[derive(Clone, Eq, PartialEq)]
pub struct SecretKey(pub [u8; KEY_BYTES]);

/// A public key with its secret one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KeyPair {
    /// The public key.
    pub public: PublicKey,
    /// The secret key.
    pub secret: SecretKey,
}

impl PublicKey {
    /// Returns the beginning of the key, for messages.
    #[must_use]
    pub fn short(&self) -> String {
        format!("{}…", &self.to_string()[..SHORT])
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&z85::encode(&self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl SecretKey {
    /// Returns the key as a file has it.
    #[must_use]
    pub fn text(&self) -> String {
        z85::encode(&self.0)
    }

    /// Returns the public key that belongs to it; none where ZeroMQ has no CURVE.
    #[must_use]
    #[allow(
        unsafe_code,
        reason = "ZeroMQ reads a text with its end, and writes one with room for the longest"
    )]
    pub fn public(&self) -> Option<PublicKey> {
        // `zmq-sys` links this function, and does not hand it on.
        unsafe extern "C" {
            fn zmq_curve_public(public: *mut c_char, secret: *const c_char) -> c_int;
        }
        let secret = CString::new(self.text()).ok()?;
        let mut public = [0u8; KEY_LETTERS + 1];
        let made = unsafe { zmq_curve_public(public.as_mut_ptr().cast::<c_char>(), secret.as_ptr()) };
        (made == 0).then(|| z85::decode(&public[..KEY_LETTERS]).ok().map(PublicKey))?
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey")
    }
}

impl KeyPair {
    /// Makes a new pair.
    ///
    /// # Errors
    /// [`Exit::Config`] if ZeroMQ was built without CURVE.
    pub fn new() -> Result<Self, Failure> {
        must_be_available()?;
        let made = zmq::CurveKeyPair::new();
        let made = made.map_err(|error| Failure::new(Exit::Bug, format!("ZeroMQ makes no key: {error}")))?;
        Ok(Self { public: PublicKey(made.public_key), secret: SecretKey(made.secret_key) })
    }
}

/// Refuses to go on with a ZeroMQ that was built without CURVE.
///
/// # Errors
/// [`Exit::Config`].
pub fn must_be_available() -> Result<(), Failure> {
    if zmq::has("curve") == Some(true) {
        return Ok(());
    }
    Err(Failure::new(Exit::Config, "cannot use keys: the ZeroMQ of this program was built without CURVE").help(
        "build it with the libzmq of the system, as scripts/setup installs it and .cargo/config.toml chooses it",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curve_pair_belongs_together_and_hides_its_secret() {
        let pair = KeyPair::new().unwrap();
        assert_eq!(pair.secret.public(), Some(pair.public));
        assert_ne!(KeyPair::new().unwrap().secret.public(), Some(pair.public));
        let shown = format!("{pair:?}");
        assert!(shown.contains(&pair.public.to_string()) && !shown.contains(&pair.secret.text()), "{shown}");
        assert_eq!(pair.public.short().chars().count(), SHORT + 1);
    }

    #[test]
    fn curve_public_key_is_that_of_the_manual() {
        // The pair that the manual of zmq_curve uses.
        let secret = SecretKey(z85::decode(b"D:)Q[IlAW!ahhC2ac:9*A}h:p?([4%wOTJ%JR%cs").unwrap());
        assert_eq!(secret.public().unwrap().to_string(), "Yne@$w-vo<fVvi]a<NY6T1ed:M$fCG*[IaLV{hID");
    }
}
