//! The part of a log that is kept: `--retain`.

use std::time::Duration;

use crate::units;

/// Most bytes of a section. Sections are removed whole.
const SECTION: u64 = 16 << 20;
/// The number of sections that the part to be kept is divided into, at least.
const PARTS: u32 = 8;
const EXAMPLES: &str = "write all, a time like 7d, a size like 10GiB, or 7d,10GiB";

/// The part of a log that is kept: all, or what is younger than an age and among the last bytes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Retain {
    age: Option<Duration>,
    bytes: Option<u64>,
}

impl Retain {
    /// Parses `all`, `7d`, `10GiB` or `7d,10GiB`.
    ///
    /// # Errors
    /// The mistake.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut retain = Self::default();
        for part in text.split(',').filter(|_| text != "all") {
            let is_known = match units::split_bytes(part) {
                Some((number, unit)) => {
                    let number: u64 = number.parse().map_err(|_| EXAMPLES)?;
                    let bytes = number.checked_mul(unit).filter(|bytes| *bytes > 0).ok_or(EXAMPLES)?;
                    retain.bytes.replace(bytes).is_some()
                }
                // A number without a unit could be either.
                None if part.bytes().all(|byte| byte.is_ascii_digit()) => return Err(EXAMPLES.to_owned()),
                None => {
                    let age = units::parse_duration(part).map_err(|_| EXAMPLES)?;
                    let age = Some(age).filter(|age| !age.is_zero()).ok_or(EXAMPLES)?;
                    retain.age.replace(age).is_some()
                }
            };
            if is_known {
                return Err(EXAMPLES.to_owned());
            }
        }
        Ok(retain)
    }

    /// Returns whether a section with these bytes, begun so long ago, is to be followed by another.
    pub(super) fn is_full(&self, bytes: u64, age: Duration) -> bool {
        let most = self.bytes.map_or(SECTION, |kept| SECTION.min(kept / u64::from(PARTS)));
        bytes >= most || self.age.is_some_and(|kept| age >= kept / PARTS)
    }

    /// Returns whether a section is not to be kept: so many bytes follow it, and its last entry is so old.
    pub(super) fn is_over(&self, bytes_behind: u64, age: Duration) -> bool {
        self.bytes.is_some_and(|kept| bytes_behind >= kept) || self.age.is_some_and(|kept| age > kept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_a_size_both_or_all_is_kept() {
        let week = Some(Duration::from_secs(7 * 86_400));
        for (text, age, bytes) in [
            ("all", None, None),
            ("7d", week, None),
            ("10GiB", None, Some(10 << 30)),
            ("10GiB,7d", week, Some(10 << 30)),
        ] {
            assert_eq!(Retain::parse(text), Ok(Retain { age, bytes }), "{text}");
        }
        for text in
            ["", "7", "0s", "0B", "-1s", "7d,8d", "1kB,2kB", "7d,", "all,7d", "99999999999GiB", "much"]
        {
            assert_eq!(Retain::parse(text), Err(EXAMPLES.to_owned()), "{text}");
        }
    }
}
