//! Station 2: the choice of a client's user.

use super::Options;
use super::chat::Chat;
use super::pipe::Pipe;
use super::replay::Replay;
use super::user::User;
use crate::driver::Node;
use crate::exit::Failure;
use crate::script::Script;
use crate::talk::Talk;
use crate::transport::wakeup::wakeup;

/// The source of a client's operations, before it takes part in a run.
#[derive(Debug)]
pub(super) enum Source {
    Script(Script),
    Lines,
    Terminal,
}

impl Source {
    /// Returns whether direct messages are possible.
    pub(super) fn is_addressed(&self) -> bool {
        match self {
            Self::Script(script) => script.receivers().next().is_some(),
            Self::Lines => false,
            Self::Terminal => true,
        }
    }

    /// Checks that a script sends only to these members.
    pub(super) fn check(&self, members: &[&str]) -> Result<(), Failure> {
        match self {
            Self::Script(script) => script.unknown_receiver(members).map_or(Ok(()), Err),
            Self::Lines | Self::Terminal => Ok(()),
        }
    }

    /// Returns the user, which wakes `node` from now on; it is the member of the first group.
    pub(super) fn open<'a>(
        &'a self,
        node: &mut Node,
        options: &Options,
        talk: &Talk,
    ) -> Result<Box<dyn User + 'a>, Failure> {
        if let Self::Script(script) = self {
            return Ok(Box::new(Replay::new(script, node, options)));
        }
        let (wakeup, waker) = wakeup()?;
        node.wake_by(wakeup);
        Ok(match self {
            Self::Terminal => Box::new(Chat::begin(node, waker, talk)?),
            _ => Box::new(Pipe::begin(waker, talk)?),
        })
    }
}
