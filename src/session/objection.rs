//! The reasons for which a process may not join a group, some of which may pass.

use std::time::Duration;

use super::MAX_STANDBYS;
use super::group::Group;
use crate::engine::Time;
use crate::exit::Exit;
use crate::order::Order;
use crate::talk::list;
use crate::wire::control::{HOLD_MILLIS, Request, Role};

/// Wait of a process with the id of a member, until it is known whether that member is still present.
pub const CHALLENGE: Duration = Duration::from_millis(HOLD_MILLIS + 500);

/// The reason for which a process may not join.
pub(super) enum Objection {
    Taken,
    Started,
    Ending,
    OtherOrder,
    Full,
    WornOut,
    HasSequencer(String),
    EnoughStandbys,
    NotAMember,
}

impl Objection {
    /// Returns whether a process that came at `since` should wait, because a member may turn out to be gone.
    pub(super) fn may_pass(&self, now: Time, since: Time) -> bool {
        match self {
            Self::Ending => true,
            Self::Taken | Self::Full => now < since.after(CHALLENGE),
            _ => false,
        }
    }

    /// Returns the text about this refusal for members that wait for one more client, if it matters to them.
    pub(super) fn absence(&self, request: &Request) -> Option<String> {
        let who = &request.who;
        match self {
            Self::OtherOrder => {
                let order =
                    Order::find(&who.order, &who.method).map_or_else(|| who.order.clone(), Order::title);
                Some(format!("{} was refused: it wants order {order}", who.id))
            }
            Self::Taken => Some(format!("another {} was refused: the id is taken", who.id)),
            _ => None,
        }
    }

    pub(super) fn explain(self, group: &Group, request: &Request) -> (Exit, String) {
        let who = &request.who;
        let names = || list(&group.seats.keys().collect::<Vec<_>>());
        match self {
            Self::Taken => (
                Exit::Unavailable,
                format!("the id {} is taken: a process with this id is in the group", who.id),
            ),
            Self::Started => {
                let how = match who.role {
                    Role::Client => "; a client joins it with --join",
                    _ => "",
                };
                (
                    Exit::Unavailable,
                    format!("the run of group {} has already started with {}{how}", who.group, names()),
                )
            }
            Self::Ending => (Exit::Unavailable, format!("the run of group {} is over", who.group)),
            Self::OtherOrder => {
                let theirs =
                    Order::find(&who.order, &who.method).map_or_else(|| who.order.clone(), Order::title);
                let ours = group.order.title();
                (
                    Exit::Config,
                    format!(
                        "{} wants order {theirs}, but group {} has order {ours}, set by {}; give all its \
                         clients the same --order and --method",
                        who.id, who.group, group.opened_by
                    ),
                )
            }
            Self::Full => (
                Exit::Unavailable,
                format!("group {} is complete without {}: it has {}", who.group, who.id, names()),
            ),
            Self::WornOut => {
                (Exit::Unavailable, format!("group {} has seen too many members come and go", who.group))
            }
            Self::HasSequencer(id) => {
                (Exit::Unavailable, format!("group {} has a sequencer: {id}", who.group))
            }
            Self::EnoughStandbys => (
                Exit::Unavailable,
                format!("{MAX_STANDBYS} processes stand by for group {} already", who.group),
            ),
            Self::NotAMember => {
                let (group, title, role) = (&who.group, group.order.title(), who.role);
                (Exit::Config, format!("group {group} has order {title}, which needs no {role}"))
            }
        }
    }
}
