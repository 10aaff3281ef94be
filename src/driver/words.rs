//! The texts of membership notices and of the failures of a fenced member.

use super::endpoint::Endpoint;
use crate::engine::MemberId;
use crate::exit::{Exit, Failure};
use crate::member::{Departure, Fence, Notice};
use crate::talk::Talk;
use crate::units;
use crate::wire::control::Role;

/// Returns the reason that follows a member's name in brackets.
fn reason(why: Departure, name: &dyn Fn(MemberId) -> String) -> String {
    match why {
        Departure::Left => "left".to_owned(),
        Departure::Silent(length) => format!("silent for {}", units::duration(length)),
        Departure::Excluded(by, length) => {
            format!("excluded by {}: has taken nothing for {}", name(by), units::duration(length))
        }
        Departure::Unresponsive => "did not answer while the view changed".to_owned(),
        Departure::Superseded => "started again".to_owned(),
        Departure::LeftOutBy(by) => format!("{} lost contact with it", name(by)),
    }
}

/// Reports a notice about the member `who`: a member lost against its will is a warning, a suspicion a detail.
pub fn report(talk: &Talk, endpoint: &impl Endpoint, who: MemberId, of: Notice) {
    report_of("", talk, endpoint, who, of);
}

/// Reports the same behind `group`, the name of its group with a colon, of a process in several groups.
pub fn report_of(group: &str, talk: &Talk, endpoint: &impl Endpoint, who: MemberId, of: Notice) {
    let words = group.to_owned() + &notice(of, who, &|member| endpoint.name(member));
    match of {
        Notice::Suspected(_) => talk.detail(words),
        Notice::Gone(Departure::Left) => talk.say(words),
        Notice::Gone(_) | Notice::NobodyLeft | Notice::TookNobodyIn | Notice::DidNotWelcome(_) => {
            talk.warn(words);
        }
    }
}

/// Returns the text of the notice about the member `who`.
#[must_use]
pub fn notice(notice: Notice, who: MemberId, name: &dyn Fn(MemberId) -> String) -> String {
    match notice {
        Notice::Suspected(why) => format!("suspects {} ({})", name(who), reason(why, name)),
        Notice::Gone(Departure::Left) => format!("{} has left", name(who)),
        Notice::Gone(why) => format!("{} is gone ({})", name(who), reason(why, name)),
        Notice::NobodyLeft => "no client is left".to_owned(),
        Notice::TookNobodyIn => {
            format!("{} has not taken a newcomer into the group; calling an election", name(who))
        }
        Notice::DidNotWelcome(newcomer) => {
            format!("{} has not welcomed the newcomer {}; another member does", name(who), name(newcomer))
        }
    }
}

/// Returns the failure with which a member of this role ends when its group has continued without it.
#[must_use]
pub fn fence(why: Fence, role: Role, name: &dyn Fn(MemberId) -> String) -> Failure {
    let failure = |message: String| Failure::new(Exit::Unavailable, message);
    let went_on = |view: u64| format!("the group went on without this member, to view {view}");
    let again = match role {
        Role::Client => "start it again with --join to take part from now on",
        _ => "start it again with --standby to stand by from now on",
    };
    match why {
        Fence::WentOn(view) => failure(went_on(view)).help(again),
        Fence::Excluded(by, length, view) => {
            let (by, length) = (name(by), units::duration(length));
            failure(format!("excluded by {by}: it has taken nothing for {length}; {}", went_on(view)))
                .help(again)
        }
        Fence::OtherPart(view) => {
            failure(format!("another part of the group went on to view {view}, and comes first")).help(again)
        }
        Fence::NoSequencer(last) => {
            let last = last.map_or_else(String::new, |(member, why)| {
                format!(" ({} is gone: {})", name(member), reason(why, name))
            });
            failure(format!("no sequencer is left{last}, and nobody can take its place"))
                .help("`sequencer --standby` or `client --can-sequence` takes the place of a lost sequencer")
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn name(member: MemberId) -> String {
        ["alice", "bob", "carol"][usize::from(member.0)].to_owned()
    }

    #[test]
    fn each_departure_is_reported_with_its_own_reason() {
        let (bob, carol, length) = (MemberId(1), MemberId(2), Duration::from_secs(10));
        for (why, words) in [
            (Departure::Left, "carol has left"),
            (Departure::Silent(length), "carol is gone (silent for 10 s)"),
            (Departure::Excluded(bob, length), "carol is gone (excluded by bob: has taken nothing for 10 s)"),
            (Departure::Unresponsive, "carol is gone (did not answer while the view changed)"),
            (Departure::Superseded, "carol is gone (started again)"),
            (Departure::LeftOutBy(bob), "carol is gone (bob lost contact with it)"),
        ] {
            assert_eq!(notice(Notice::Gone(why), carol, &name), words);
        }
    }

    #[test]
    fn a_fenced_member_reports_the_excluding_member_and_the_remedy() {
        let (alice, bob, length) = (MemberId(0), MemberId(1), Duration::from_secs(15));
        let told = |why| fence(why, Role::Client, &name).to_string();
        let excluded = told(Fence::Excluded(bob, length, 3));
        assert!(excluded.starts_with("excluded by bob: it has taken nothing for 15 s; "), "{excluded}");
        assert!(told(Fence::WentOn(3)).contains("to view 3\n  help: start it again with --join"));
        let last = told(Fence::NoSequencer(Some((alice, Departure::Silent(length)))));
        assert!(
            last.starts_with("no sequencer is left (alice is gone: silent for 15 s), and nobody"),
            "{last}"
        );
        assert!(last.contains("\n  help: `sequencer --standby`"), "{last}");
    }
}
