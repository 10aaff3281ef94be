//! Station 1, beside the path: the rules for the id of a member or a group.
//!
//! Ids stand in command files, in file names and before `###` in results, and must be unambiguous in each.

/// Longest id, in bytes.
pub const MAX_ID: usize = 64;

/// Words with another meaning where an id may stand.
const RESERVED: [&str; 3] = ["Multicast", "sleep", "start"];

/// Names of the other programs of a group; two of them are the default ids of sequencers.
const PROGRAMS: [&str; 4] = ["forwarder", "router", "sequencer", "standby"];

/// Checks the id of a member or a group: 1 to [`MAX_ID`] letters, digits, `.`, `_` or `-` of ASCII, the first a letter,
/// a digit or `_`, and not `Multicast`, `sleep` or `start`.
///
/// # Errors
/// The rule that `id` breaks, in one line without a final stop.
pub fn check_id(id: &str) -> Result<(), String> {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if id.is_empty() {
        Err("an id must not be empty".into())
    } else if !id.bytes().all(is_allowed) {
        Err("an id consists of the letters A-Z and a-z, digits, `.`, `_` and `-`".into())
    } else if id.len() > MAX_ID {
        Err(format!("an id has at most {MAX_ID} characters, this one has {}", id.len()))
    } else if id.starts_with(['.', '-']) {
        Err("an id starts with a letter, a digit or `_`".into())
    } else if RESERVED.contains(&id) {
        Err(format!("`{id}` is reserved and cannot be an id"))
    } else {
        Ok(())
    }
}

/// Checks the id of a client: as [`check_id`], and not the name of another program of the group, as the default ids of
/// sequencers are.
///
/// # Errors
/// As [`check_id`].
pub fn check_client_id(id: &str) -> Result<(), String> {
    check_id(id)?;
    if PROGRAMS.contains(&id) {
        return Err(format!("`{id}` is the id of another program of the group, so a client cannot have it"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn client_id_of_another_program_is_refused() {
        for id in PROGRAMS {
            assert_eq!(check_id(id), Ok(()), "{id}");
            assert!(check_client_id(id).unwrap_err().contains(id));
        }
        assert_eq!(check_client_id("c1"), Ok(()));
        assert!(check_client_id("a/b").is_err());
    }

    #[test]
    fn good_ids_are_accepted() {
        for id in ["c1", "C", "7", "_", "a.b-c_d", "sequencer", "multicast", &"x".repeat(MAX_ID)] {
            assert_eq!(check_id(id), Ok(()), "{id}");
        }
    }

    #[test]
    fn bad_ids_are_refused_with_a_reason() {
        for (id, reason) in [
            ("", "empty"),
            (&*"x".repeat(MAX_ID + 1), "at most 64"),
            (".", "starts with"),
            ("..", "starts with"),
            ("-q", "starts with"),
            ("a/b", "consists of"),
            ("a#b", "consists of"),
            ("a,b", "consists of"),
            ("a b", "consists of"),
            ("\0a", "consists of"),
            ("a\n", "consists of"),
            ("ä", "consists of"),
            ("Multicast", "reserved and cannot be an id"),
            ("sleep", "reserved and cannot be an id"),
            ("start", "reserved and cannot be an id"),
        ] {
            let found = check_id(id).unwrap_err();
            assert!(found.contains(reason), "{id:?}: {found}");
        }
    }
}
