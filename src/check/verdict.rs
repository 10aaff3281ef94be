//! What an oracle says: three values, because a run that shows nothing proves nothing.

use std::fmt;

/// Whether a property holds.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// It holds, and there was something to hold it for.
    Valid,
    /// It does not: this is where.
    Violated(Witness),
    /// The history does not tell, for this reason.
    Undecided(String),
}

/// The first violation found, told as a sentence that names members, messages and places.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Witness(pub String);

impl Verdict {
    /// Whether it is [`Verdict::Valid`].
    #[must_use]
    pub fn is_valid(&self) -> bool {
        *self == Self::Valid
    }

    /// Whether it is [`Verdict::Violated`].
    #[must_use]
    pub const fn is_violated(&self) -> bool {
        matches!(self, Self::Violated(_))
    }

    /// Its one word: `valid`, `violated`, `undecided`.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Violated(_) => "violated",
            Self::Undecided(_) => "undecided",
        }
    }

    /// The witness or the reason; nothing to add to `valid`.
    #[must_use]
    pub fn why(&self) -> Option<&str> {
        match self {
            Self::Valid => None,
            Self::Violated(Witness(story)) => Some(story),
            Self::Undecided(reason) => Some(reason),
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.why() {
            None => f.write_str(self.word()),
            Some(why) => write!(f, "{:<10}{why}", self.word()),
        }
    }
}
