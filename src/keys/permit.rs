//! The permission of a key: the groups that its owner may join, and as what.

use std::collections::BTreeSet;
use std::fmt;

use crate::nearest::one_of;
use crate::script::check_id;

/// The part of a process in a group, as far as a key permits it.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Role {
    /// Multicasts and delivers.
    Client,
    /// Numbers the messages of the clients.
    Sequencer,
    /// Takes the place of a sequencer that is lost.
    Standby,
    /// Carries packets from one member to one other.
    Router,
    /// Only looks who is there.
    Observer,
}

impl Role {
    /// All roles with their names.
    pub(super) const ALL: [(&'static str, Self); 5] = [
        ("client", Self::Client),
        ("sequencer", Self::Sequencer),
        ("standby", Self::Standby),
        ("router", Self::Router),
        ("observer", Self::Observer),
    ];

    /// Parses the name of a role.
    ///
    /// # Errors
    /// The mistake, for people.
    pub(super) fn parse(name: &str) -> Result<Self, String> {
        let name = one_of(name, &Self::ALL.map(|(name, _)| name))?;
        let found = Self::ALL.into_iter().find(|(known, _)| *known == name);
        Ok(found.map_or(Self::Client, |(_, role)| role))
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found = Self::ALL.into_iter().find(|(_, role)| role == self);
        f.write_str(found.map_or("", |(name, _)| name))
    }
}

/// The permission of a key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Permit {
    /// The groups; none means every group.
    groups: Option<BTreeSet<String>>,
    roles: BTreeSet<Role>,
}

impl Permit {
    /// Returns the permission for these groups, or for every group if there are none, and for these roles; without
    /// any, that of a client.
    pub(super) fn new(groups: &[String], roles: &[Role]) -> Self {
        let groups = (!groups.is_empty()).then(|| groups.iter().cloned().collect());
        let roles = if roles.is_empty() { &[Role::Client] } else { roles };
        Self { groups, roles: roles.iter().copied().collect() }
    }

    /// Parses the lists of a key file; what is missing permits every group, and the role of a client.
    ///
    /// # Errors
    /// The mistake, for people: whether it is one of the groups or the roles, and which.
    pub(super) fn parse(groups: Option<&str>, roles: Option<&str>) -> Result<Self, (Part, String)> {
        let named = groups.map(|groups| words(groups).map(str::to_owned).collect::<Vec<String>>());
        for group in named.iter().flatten() {
            check_id(group).map_err(|why| (Part::Groups, why))?;
        }
        let roles = roles.map_or_else(
            || Ok(BTreeSet::from([Role::Client])),
            |roles| words(roles).map(Role::parse).collect::<Result<_, _>>(),
        );
        let groups = named.map(|groups| groups.into_iter().collect());
        Ok(Self { groups, roles: roles.map_err(|why| (Part::Roles, why))? })
    }

    /// Checks that the owner may take part in a group as this; in an empty one that it may serve groups.
    ///
    /// # Errors
    /// The limit that forbids it, for people.
    pub(super) fn check(&self, group: &str, role: Role) -> Result<(), String> {
        let is_listed = self.groups.as_ref().is_none_or(|groups| group.is_empty() || groups.contains(group));
        match (is_listed, self.roles.contains(&role)) {
            (true, true) => Ok(()),
            (false, _) => Err(format!("the group {group}")),
            (_, false) => Err(format!("the role {role}")),
        }
    }

    /// Returns whether the owner may be a member of a group, in any role.
    pub(super) fn takes_part_in(&self, group: &str) -> bool {
        [Role::Client, Role::Sequencer, Role::Standby].iter().any(|&role| self.check(group, role).is_ok())
    }

    /// Returns the list of the groups as a key file has it.
    pub(super) fn groups(&self) -> Option<String> {
        let groups = self.groups.as_ref()?;
        Some(groups.iter().map(String::as_str).collect::<Vec<_>>().join(","))
    }

    /// Returns the list of the roles as a key file has it.
    pub(super) fn roles(&self) -> String {
        self.roles.iter().map(Role::to_string).collect::<Vec<_>>().join(",")
    }
}

/// The part of a permission that has a mistake.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Part {
    Groups,
    Roles,
}

/// Returns the words of a list with commas.
fn words(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim).filter(|word| !word.is_empty())
}

impl fmt::Display for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = match self.groups().as_deref() {
            None => "of every group".to_owned(),
            Some("") => "of no group".to_owned(),
            Some(groups) => format!("of {}", groups.replace(',', ", ")),
        };
        match &*self.roles() {
            "" => f.write_str("nothing"),
            roles => write!(f, "{} {of}", roles.replace(',', ", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permit_of_a_file_is_read_and_written() {
        for (groups, roles, shown) in [
            (None, None, "client of every group"),
            (Some("red, blue"), Some("client,sequencer"), "client, sequencer of blue, red"),
            (Some(""), Some("client"), "client of no group"),
            (None, Some(""), "nothing"),
            (Some("a"), Some("observer"), "observer of a"),
        ] {
            let permit = Permit::parse(groups, roles).unwrap();
            assert_eq!(permit.to_string(), shown);
            assert_eq!(Permit::parse(permit.groups().as_deref(), Some(&permit.roles())), Ok(permit));
        }
        let (part, why) = Permit::parse(None, Some("cleint")).unwrap_err();
        assert!(part == Part::Roles && why.contains("did you mean `client`"), "{why}");
        assert_eq!(Permit::parse(Some("a/b"), None).unwrap_err().0, Part::Groups);
        assert_eq!(Permit::new(&[], &[]), Permit::parse(None, None).unwrap());
        assert_eq!(Permit::new(&["a".into()], &[Role::Router]).to_string(), "router of a");
    }
}
