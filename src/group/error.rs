//! The errors of the library.

use std::fmt;
use std::time::Duration;

use crate::exit::{Exit, Failure};
use crate::units;

/// An error of a [`Group`](super::Group), its [`Sender`](super::Sender), its [`Receiver`](super::Receiver) or its
/// [`Builder`](super::Builder).
///
/// ```
/// use groupcast::{Error, Group};
///
/// let [group] = Group::in_memory(["a"])?;
/// match group.send("b", "hello") {
///     Err(Error::NoSuchMember(id)) => assert_eq!(id, "b"),
///     other => panic!("{other:?}"),
/// }
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Error {
    /// There is no room for another message: receive events first, or try again later.
    Full,
    /// The group has no member with this id.
    NoSuchMember(String),
    /// The payload or the state is too long.
    TooLong {
        /// Its length in bytes.
        length: usize,
        /// The longest possible.
        limit: usize,
    },
    /// This many direct messages are undeliverable, and no [`Event::Undeliverable`](super::Event::Undeliverable) was received
    /// for them before this member left.
    Undeliverable(u64),
    /// The group continued without this member, for this reason. [`join`](super::Builder::join) again with another
    /// [`Start`](super::Start) than the common one.
    LeftBehind(String),
    /// The forwarders or the sequencer are lost, or the run has failed, for this reason.
    Lost(String),
    /// A call reached its timeout. The text names the call and the cause.
    TimedOut(String),
    /// The group has ended, or this member has left it.
    Ended,
    /// This member has [finished](super::Sender::finish): it sends nothing more.
    Finished,
    /// No member gives the newcomer what it [starts](super::Start) with.
    NoState(String),
    /// The group does not accept this member, or cannot be reached, for this reason.
    CannotJoin(String),
    /// A setting of the [`Builder`](super::Builder) or an argument is wrong.
    Invalid(String),
    /// The operating system refuses something.
    System(String),
    /// A bug in this library.
    Bug(String),
}

impl Error {
    /// Returns the error of a call that reached its timeout.
    pub(super) fn timed_out(what: &str, timeout: Duration) -> Self {
        Self::TimedOut(format!("{what} within {}", units::duration(timeout)))
    }

    /// Returns the error of a member that has not joined yet.
    pub(super) fn of_joining(failure: Failure) -> Self {
        match failure.exit {
            Exit::Unavailable | Exit::Denied | Exit::Config => Self::CannotJoin(failure.message),
            Exit::TimedOut => Self::TimedOut(caused("join the group", &failure.message)),
            _ => Self::of_member(failure),
        }
    }

    /// Returns the error of a member that has joined. The help of the failure is left out: it names flags of programs.
    pub(super) fn of_member(failure: Failure) -> Self {
        match failure.exit {
            Exit::Ok => Self::Ended,
            Exit::Usage | Exit::BadData => Self::Invalid(failure.message),
            Exit::Io | Exit::CannotCreate | Exit::NoInput => Self::System(failure.message),
            Exit::Bug => Self::Bug(failure.message),
            _ => Self::Lost(failure.message),
        }
    }
}

/// Returns "cannot ACTION: CAUSE", unless the cause is such a text itself.
fn caused(action: &str, cause: &str) -> String {
    if cause.starts_with("cannot ") { cause.to_owned() } else { format!("cannot {action}: {cause}") }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str(
                "cannot send the message: there is no room; receive events first, or try again later",
            ),
            Self::NoSuchMember(id) => write!(f, "cannot send to {id}: it is not in the group"),
            Self::TooLong { length, limit } => {
                write!(f, "cannot accept {length} bytes: the limit is {limit} bytes")
            }
            Self::Undeliverable(1) => {
                f.write_str("cannot deliver a direct message: its receiver is not in the group any more")
            }
            Self::Undeliverable(count) => {
                write!(
                    f,
                    "cannot deliver {count} direct messages: their receivers are not in the group any more"
                )
            }
            Self::LeftBehind(cause) => {
                write!(f, "{}; join it again", caused("stay in the group", cause))
            }
            Self::Lost(cause) => f.write_str(&caused("stay in the group", cause)),
            Self::TimedOut(text) => f.write_str(text),
            Self::Ended => f.write_str("cannot go on: the group has ended, or this member has left it"),
            Self::Finished => f.write_str("cannot send the message: this member has finished"),
            Self::NoState(cause) => f.write_str(&caused("catch up", cause)),
            Self::CannotJoin(cause) => f.write_str(&caused("join the group", cause)),
            Self::Invalid(cause) => f.write_str(&caused("use a setting or an argument", cause)),
            Self::System(cause) => f.write_str(&caused("use the operating system", cause)),
            Self::Bug(cause) => write!(f, "{}; this is a bug in groupcast", caused("go on", cause)),
        }
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_of_every_kind_names_the_action_and_the_cause() {
        let cause = || "the reason".to_owned();
        let errors = [
            Error::Full,
            Error::NoSuchMember("b".to_owned()),
            Error::TooLong { length: 2, limit: 1 },
            Error::Undeliverable(1),
            Error::Undeliverable(2),
            Error::LeftBehind(cause()),
            Error::Lost(cause()),
            Error::timed_out("cannot leave: the others did not have everything", Duration::from_secs(1)),
            Error::Ended,
            Error::Finished,
            Error::NoState(cause()),
            Error::CannotJoin(cause()),
            Error::Invalid(cause()),
            Error::System(cause()),
            Error::Bug(cause()),
        ];
        for error in errors {
            let text = error.to_string();
            assert!(text.starts_with("cannot ") && text.contains(": ") && !text.contains('\n'), "{text}");
        }
        let lost = Error::Lost("cannot look up host: unknown".to_owned());
        assert_eq!(lost.to_string(), "cannot look up host: unknown");
    }

    #[test]
    fn error_of_a_failure_has_its_kind_and_no_flags() {
        let failure = |exit| Failure::new(exit, "no answer").help("use --timeout");
        let text = || "no answer".to_owned();
        assert_eq!(Error::of_joining(failure(Exit::Unavailable)), Error::CannotJoin(text()));
        assert_eq!(Error::of_joining(failure(Exit::Config)), Error::CannotJoin(text()));
        let timed_out = Error::TimedOut("cannot join the group: no answer".to_owned());
        assert_eq!(Error::of_joining(failure(Exit::TimedOut)), timed_out);
        assert_eq!(Error::of_joining(failure(Exit::Usage)), Error::Invalid(text()));
        assert_eq!(Error::of_member(failure(Exit::Unavailable)), Error::Lost(text()));
        assert_eq!(Error::of_member(failure(Exit::Io)), Error::System(text()));
        assert_eq!(Error::of_member(failure(Exit::Bug)), Error::Bug(text()));
    }
}
