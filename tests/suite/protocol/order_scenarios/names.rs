//! Names of members: engines know slots (`p0`), scenarios know names (`a`).

use groupcast::engine::MemberId;

/// The names of all slots, in the order of the slots.
pub(crate) struct Names(pub(crate) Vec<String>);

impl Names {
    pub(crate) fn slot(&self, name: &str) -> Option<MemberId> {
        let at = self.0.iter().position(|known| known == name)?;
        Some(MemberId(u16::try_from(at).ok()?))
    }

    /// `line` with names for slots, everywhere but between quotes.
    pub(crate) fn tell(&self, line: &str) -> String {
        let parts = line.split('"').enumerate();
        parts
            .map(|(i, part)| if i % 2 == 0 { self.name(part) } else { part.to_owned() })
            .collect::<Vec<_>>()
            .join("\"")
    }

    fn name(&self, part: &str) -> String {
        let mut told = String::new();
        for word in part.split_inclusive(|c: char| !c.is_alphanumeric()) {
            let (slot, end) = word.split_at(word.trim_end_matches(|c: char| !c.is_alphanumeric()).len());
            let known = slot.strip_prefix('p').and_then(|at| self.0.get(at.parse::<usize>().ok()?));
            told.push_str(known.map_or(slot, String::as_str));
            told.push_str(end);
        }
        told
    }
}
