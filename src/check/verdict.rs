//! What an oracle says: three values, because a run that shows nothing proves nothing.

use std::fmt;

use serde::Serialize;

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

/// The first violation found: a sentence that names members, messages and places.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Witness {
    /// The sentence.
    pub story: String,
    /// The places that it names, for programs.
    pub places: Vec<Place>,
}

/// Some events of one member, as people find them again. It prints as `(history_c1.jsonl:12,13)`, or as
/// `(events 3, 5)` where there is no file.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Place {
    /// Whose events.
    pub member: String,
    /// The file that tells them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Their lines in the file or, without one, their numbers, from 1.
    pub lines: Vec<u32>,
}

impl Witness {
    /// A story and the places that it names.
    pub fn new(story: impl Into<String>, places: impl Into<Vec<Place>>) -> Self {
        Self { story: story.into(), places: places.into() }
    }
}

impl Place {
    /// The whole file, as what has no such line: ` (history_c1.jsonl)`, or nothing where there is no file.
    #[must_use]
    pub fn whole(&self) -> String {
        self.file.as_ref().map_or_else(String::new, |file| format!(" ({file})"))
    }

    /// It with a space before it, or nothing if no line is known.
    #[must_use]
    pub fn or_nothing(&self) -> String {
        if self.lines.is_empty() { String::new() } else { format!(" {self}") }
    }
}

impl From<String> for Witness {
    fn from(story: String) -> Self {
        Self::new(story, [])
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.lines.iter().map(ToString::to_string).collect();
        match (&self.file, lines.len()) {
            (Some(file), 0) => write!(f, "({file})"),
            (Some(file), _) => write!(f, "({file}:{})", lines.join(",")),
            (None, 1) => write!(f, "(event {})", lines[0]),
            (None, _) => write!(f, "(events {})", lines.join(", ")),
        }
    }
}

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

    /// Where a violation shows itself.
    #[must_use]
    pub fn places(&self) -> &[Place] {
        match self {
            Self::Violated(witness) => &witness.places,
            Self::Valid | Self::Undecided(_) => &[],
        }
    }

    /// The story of the violation, or the reason; nothing to add to `valid`.
    #[must_use]
    pub fn why(&self) -> Option<&str> {
        match self {
            Self::Valid => None,
            Self::Violated(witness) => Some(&witness.story),
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
