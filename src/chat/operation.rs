//! Operations of the chat: each is the text of one multicast, in JSON.

use serde::{Deserialize, Serialize};

/// Longest name of a user, in characters.
pub const LONGEST_USER: usize = 32;
/// Longest name of a group, in characters.
pub const LONGEST_GROUP: usize = 64;
/// Longest post, in characters.
pub const LONGEST_TEXT: usize = 4000;
/// Longest key of a session or a client, in characters, which are ASCII.
pub const LONGEST_KEY: usize = 64;
/// Most posts in one request.
pub const MOST_POSTS: usize = 256;
/// Highest number that a client gives a post, and that every JSON reader keeps exact.
pub const MOST_N: u64 = (1 << 53) - 1;

/// An operation. None fails: what it does depends only on the operations before and after it in the order.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(tag = "op", rename_all = "lowercase")]
pub enum Operation {
    /// A user begins a session at the server that multicasts this.
    Session {
        /// The key of the session.
        session: String,
        /// The name of the user.
        user: String,
        /// The key of the client, which numbers its posts; empty if it gave none.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        client: String,
    },
    /// A session ends.
    End {
        /// The key of the session.
        session: String,
    },
    /// A server has started: the sessions that it began before are over.
    Life,
    /// A user joins a group.
    Join {
        /// The key of the session.
        session: String,
        /// The name of the user.
        user: String,
        /// The name of the group.
        group: String,
        /// True if the server knew no such group.
        #[serde(default)]
        new: bool,
    },
    /// A user leaves a group.
    Leave {
        /// The name of the user.
        user: String,
        /// The name of the group.
        group: String,
    },
    /// A user posts a text in a group.
    Post(Post),
    /// A user likes a post, or likes it no longer.
    Like {
        /// The name of the user.
        user: String,
        /// The id of the post: `s1-17` is the 17th multicast of s1.
        id: String,
        /// True if the user likes it.
        on: bool,
    },
    /// A user has read a group up to a number of the confirmed order.
    Read {
        /// The name of the user.
        user: String,
        /// The name of the group.
        group: String,
        /// The number.
        number: u64,
    },
}

/// The content of a post.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Post {
    /// The identity, the same for all copies of the post.
    #[serde(flatten)]
    pub key: PostKey,
    /// The text.
    pub text: String,
    /// The time at the server that accepted it, in milliseconds since 1970.
    pub time_ms: u64,
}

/// The identity of a post for the client that sends it: copies with the same key are one post.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct PostKey {
    /// The name of the user.
    pub user: String,
    /// The key of the client, which numbers its posts; empty if it gave none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub client: String,
    /// The name of the group.
    pub group: String,
    /// The client's number of the post.
    pub n: u64,
}

impl Operation {
    /// Returns the operation as the text of a multicast.
    #[must_use]
    pub fn text(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Returns the operation of a text, unless no server sends such a text.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let operation: Self = serde_json::from_slice(text).ok()?;
        operation.check().is_ok().then_some(operation)
    }

    /// Checks the limits of all fields.
    ///
    /// # Errors
    /// The first mistake, as the end of a sentence that begins with "cannot …:".
    pub fn check(&self) -> Result<(), String> {
        match self {
            Self::Session { session, user, client } => {
                check_key(session)?;
                check_user(user)?;
                check_client(client)
            }
            Self::End { session } => check_key(session),
            Self::Life => Ok(()),
            Self::Join { session, user, group, .. } => {
                check_key(session)?;
                check_user(user)?;
                check_group(group)
            }
            Self::Leave { user, group } | Self::Read { user, group, .. } => {
                check_user(user).and_then(|()| check_group(group))
            }
            Self::Post(Post { key, text, .. }) => {
                check_post_key(key)?;
                check_text(text)
            }
            Self::Like { user, id, .. } => check_user(user).and_then(|()| check_key(id)),
        }
    }
}

/// Checks the name of a user.
///
/// # Errors
/// The mistake.
pub fn check_user(user: &str) -> Result<(), String> {
    check_name("user", user, LONGEST_USER)
}

/// Checks the name of a group.
///
/// # Errors
/// The mistake.
pub fn check_group(group: &str) -> Result<(), String> {
    check_name("group", group, LONGEST_GROUP)
}

/// Checks the key of a session or a client, or an id.
///
/// # Errors
/// The mistake.
pub fn check_key(key: &str) -> Result<(), String> {
    match key {
        "" => Err("a key is empty".to_owned()),
        key if !key.bytes().all(|byte| byte.is_ascii_graphic()) => {
            Err("a key has other characters than visible ones of ASCII".to_owned())
        }
        // Each is a byte.
        key if key.len() > LONGEST_KEY => Err(format!("a key has more than {LONGEST_KEY} characters")),
        _ => Ok(()),
    }
}

fn check_post_key(key: &PostKey) -> Result<(), String> {
    check_user(&key.user)?;
    check_group(&key.group)?;
    if key.n > MOST_N {
        return Err(format!("n is above {MOST_N}"));
    }
    check_client(&key.client)
}

fn check_client(client: &str) -> Result<(), String> {
    if client.is_empty() { Ok(()) } else { check_key(client) }
}

/// Checks the text of a post.
///
/// # Errors
/// The mistake.
pub fn check_text(text: &str) -> Result<(), String> {
    let length = text.chars().count();
    if text.trim().is_empty() {
        Err("the text is empty".to_owned())
    } else if length > LONGEST_TEXT {
        Err(format!("the text has {length} characters, and {LONGEST_TEXT} are allowed"))
    } else if text.chars().any(|it| it.is_control() && !matches!(it, '\n' | '\t' | '\r')) {
        Err("the text has control characters".to_owned())
    } else {
        Ok(())
    }
}

fn check_name(what: &str, name: &str, longest: usize) -> Result<(), String> {
    if name.trim().is_empty() {
        Err(format!("the name of the {what} is empty"))
    } else if name.trim() != name {
        Err(format!("the name of the {what} begins or ends with a blank"))
    } else if name.chars().count() > longest {
        Err(format!("the name of the {what} has more than {longest} characters"))
    } else if name.chars().any(char::is_control) {
        Err(format!("the name of the {what} has control characters"))
    } else {
        Ok(())
    }
}
