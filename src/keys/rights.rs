//! The rights of the owners of keys at each port: what one may ask, publish, and take from the router.
//!
//! A user, here, is the name of an accepted key, as ZeroMQ tells it with each message.

use std::collections::BTreeMap;

use super::folder::{ANY, FORWARDER, Keys, id_of};
use super::permit::{Permit, Role};
use crate::exit::{Exit, Failure};
use crate::wire::control::{self, Ask, Identity, Request, Seat};

/// The permissions of all users.
#[derive(Clone, Debug, Default)]
pub(super) struct Rights(BTreeMap<String, Permit>);

impl Rights {
    /// Returns the permissions that the files of these keys give.
    pub(super) fn of(keys: &Keys) -> Self {
        Self(keys.members.values().map(|member| (member.name.clone(), member.permit.clone())).collect())
    }

    /// Checks a request: a user asks under its own id, in a group and a role of its file. Each may ask for the members of
    /// groups; a router has the forwarder's key.
    ///
    /// # Errors
    /// [`Exit::Denied`].
    pub(super) fn check(&self, user: &str, request: &Request) -> Result<(), Failure> {
        let Request { who, ask, .. } = request;
        if matches!(ask, Ask::Members { .. }) || user == FORWARDER && who.role == control::Role::Router {
            return Ok(());
        }
        let limit = match self.0.get(user) {
            Some(permit) if self.may_be(user, &who.id) => permit.check(&who.group, role_of(who)),
            _ => Err(format!("the id {}", who.id)),
        };
        limit
            .map_err(|limit| Failure::new(Exit::Denied, format!("the key of {user} is not good for {limit}")))
    }

    /// Returns whether a user may publish in a group as the member in this seat.
    pub(super) fn may_publish(&self, user: &str, group: &str, seat: &Seat) -> bool {
        // A sequencer that joins a running group stands by.
        let roles = match seat.role {
            control::Role::Standby => &[Role::Standby, Role::Sequencer][..],
            control::Role::Client => &[Role::Client],
            control::Role::Sequencer => &[Role::Sequencer],
            control::Role::Router => &[],
        };
        let has_role = |permit: &Permit| roles.iter().any(|&role| permit.check(group, role).is_ok());
        self.0.get(user).is_some_and(has_role) && self.may_be(user, &seat.id)
    }

    /// Returns whether the packets of this route, `GROUP/ID`, are those of a user.
    pub(super) fn may_take(&self, user: &str, route: &str) -> bool {
        let permit = self.0.get(user);
        route
            .split_once('/')
            .zip(permit)
            .is_some_and(|((group, id), permit)| permit.takes_part_in(group) && self.may_be(user, id))
    }

    /// Returns whether a user may have this id: that of its key or, with a key for any id, one that has no key of its own.
    fn may_be(&self, user: &str, id: &str) -> bool {
        id_of(user) == id || user == ANY && !self.has_own_key(id)
    }

    fn has_own_key(&self, id: &str) -> bool {
        let further = format!("{id}.");
        let mut others = self.0.range(further.clone()..).take_while(|(name, _)| name.starts_with(&further));
        self.0.contains_key(id) || others.any(|(name, _)| id_of(name) == id)
    }
}

fn role_of(who: &Identity) -> Role {
    match who.role {
        control::Role::Client => Role::Client,
        control::Role::Sequencer => Role::Sequencer,
        control::Role::Standby => Role::Standby,
        control::Role::Router => Role::Router,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rights() -> Rights {
        let permits = [
            ("c1", None, None),
            ("c1.2", Some("red"), None),
            ("c2", Some("red,blue"), Some("client,standby")),
            ("s", None, Some("sequencer")),
            ("eye", None, Some("observer")),
            ("+", None, None),
        ];
        let permit = |(name, groups, roles): (&str, _, _)| {
            (name.to_owned(), Permit::parse(groups, roles).expect("a good list"))
        };
        Rights(permits.map(permit).into())
    }

    fn refused(user: &str, group: &str, id: &str, role: control::Role) -> String {
        let who = Identity::new(group, id, role, 7);
        let checked = rights().check(user, &Request::new(1, who, Ask::Join));
        checked.map_or_else(|failure| failure.message, |()| String::new())
    }

    #[test]
    fn rights_to_ask_are_those_of_the_id_the_groups_and_the_roles() {
        use control::Role::{Client, Router, Sequencer, Standby};
        for (user, group, id, role, limit) in [
            ("c1", "red", "c1", Client, ""),
            ("c1.2", "red", "c1", Client, ""),
            ("c1.2", "blue", "c1", Client, "the group blue"),
            ("c1", "red", "c2", Client, "the id c2"),
            ("c1", "red", "c1.2", Client, "the id c1.2"),
            ("c2", "blue", "c2", Standby, ""),
            ("c2", "blue", "c2", Sequencer, "the role sequencer"),
            ("c2", "green", "c2", Client, "the group green"),
            ("s", "", "s", Sequencer, ""),
            ("c1", "", "c1", Router, "the role router"),
            ("forwarder", "", "router", Router, ""),
            ("forwarder", "red", "c1", Client, "the id c1"),
            ("eye", "red", "eye", Client, "the role client"),
            ("+", "red", "ann", Client, ""),
            ("+", "red", "c1", Client, "the id c1"),
            ("+", "red", "ann", Sequencer, "the role sequencer"),
            ("gone", "red", "gone", Client, "the id gone"),
        ] {
            let refused = refused(user, group, id, role);
            assert_eq!(refused.rsplit_once("good for ").map_or("", |(_, limit)| limit), limit, "{user} {id}");
        }
        let asks = Request::new(1, Identity::new("", "x", Client, 7), Ask::Members { skip: 0 });
        assert!(rights().check("eye", &asks).is_ok() && rights().check("forwarder", &asks).is_ok());
    }

    #[test]
    fn rights_to_publish_are_those_of_the_seat() {
        use control::Role::{Client, Sequencer, Standby};
        for (user, group, id, role, may) in [
            ("c1", "red", "c1", Client, true),
            ("c1", "red", "c2", Client, false),
            ("c1.2", "red", "c1", Client, true),
            ("c1.2", "blue", "c1", Client, false),
            ("c2", "red", "c2", Sequencer, false),
            ("s", "red", "s", Standby, true),
            ("s", "red", "s", Client, false),
            ("eye", "red", "eye", Client, false),
            ("+", "red", "ann", Client, true),
            // The sequencer inside the forwarder has no key.
            ("+", "red", "sequencer", Sequencer, false),
            ("forwarder", "red", "c1", Client, false),
        ] {
            let seat =
                Seat { slot: 3, id: id.into(), incarnation: 1, role, can_sequence: false, late: false };
            assert_eq!(rights().may_publish(user, group, &seat), may, "{user} {group} {id}");
        }
    }

    #[test]
    fn rights_to_a_route_are_those_of_the_id_and_the_groups() {
        for (user, route, may) in [
            ("c1", "red/c1", true),
            ("c1", "red/c2", false),
            ("c1", "c1", false),
            ("c2", "green/c2", false),
            ("+", "red/ann", true),
            ("+", "red/c1", false),
            ("eye", "red/eye", false),
        ] {
            assert_eq!(rights().may_take(user, route), may, "{user} {route}");
        }
    }
}
