//! The verdict of an oracle. It has three values, because a run without events of a kind proves nothing about them.

use std::fmt;

use serde::Serialize;

/// The verdict on one property.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// The property holds, and the run has events that could have violated it.
    Valid,
    /// The property is violated, as the witness shows.
    Violated(Witness),
    /// The history does not decide, for this reason.
    Undecided(String),
}

/// The first violation found: a sentence that names members, messages and places.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Witness {
    /// The sentence.
    pub story: String,
    /// The places of its events, for programs.
    pub places: Vec<Place>,
}

/// Some events of one member, in a form that people can look up: `(history_c1.jsonl:12,13)`, or `(events 3, 5)` without
/// a file. A member of a cluster has a file for each life: `(history_s1.1.jsonl:12, history_s1.2.jsonl:3)`.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Place {
    /// The name of the member.
    pub member: String,
    /// The file that records the events.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The lines in the file or, without one, the numbers of the events, from 1.
    pub lines: Vec<u32>,
    /// Further events, in other files of the member.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<Self>,
}

impl Witness {
    /// Creates a witness from a story and its places.
    pub fn new(story: impl Into<String>, places: impl Into<Vec<Place>>) -> Self {
        Self { story: story.into(), places: places.into() }
    }

    /// Creates a witness from several stories, each with its place.
    pub(super) fn joined(stories: impl Iterator<Item = (String, Place)>) -> Self {
        let (stories, places): (Vec<String>, Vec<Place>) = stories.unzip();
        Self::new(stories.join("; "), places)
    }
}

impl Place {
    /// Formats the whole file, for an event that has no line there: ` (history_c1.jsonl)`; empty without a file.
    #[must_use]
    pub fn whole(&self) -> String {
        self.file.as_ref().map_or_else(String::new, |file| format!(" ({file})"))
    }

    /// Formats the place with a space before it; empty if no line is known.
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
        let numbers = |place: &Self, separator: &str| {
            let numbers: Vec<String> = place.lines.iter().map(ToString::to_string).collect();
            numbers.join(separator)
        };
        let in_file = |place: &Self| match (&place.file, place.lines.is_empty()) {
            (Some(file), true) => file.clone(),
            (Some(file), false) => format!("{file}:{}", numbers(place, ",")),
            (None, _) if place.lines.len() == 1 => format!("event {}", place.lines[0]),
            (None, _) => format!("events {}", numbers(place, ", ")),
        };
        let all: Vec<String> = std::iter::once(self).chain(&self.also).map(in_file).collect();
        write!(f, "({})", all.join(", "))
    }
}

impl Verdict {
    /// Returns true for [`Verdict::Valid`].
    #[must_use]
    pub fn is_valid(&self) -> bool {
        *self == Self::Valid
    }

    /// Returns true for [`Verdict::Violated`].
    #[must_use]
    pub const fn is_violated(&self) -> bool {
        matches!(self, Self::Violated(_))
    }

    /// Returns the verdict as one word: `valid`, `violated`, `undecided`.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Violated(_) => "violated",
            Self::Undecided(_) => "undecided",
        }
    }

    /// Returns the places of a violation.
    #[must_use]
    pub fn places(&self) -> &[Place] {
        match self {
            Self::Violated(witness) => &witness.places,
            Self::Valid | Self::Undecided(_) => &[],
        }
    }

    /// Returns the story of the violation, or the reason why it is undecided; `None` for `valid`.
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
