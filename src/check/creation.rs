//! No creation: what is delivered was multicast before, by the member it is said to be from, in these words.

use super::catalogue::Catalogue;
use super::history::Record;
use super::verdict::{Verdict, Witness};

pub(super) fn judge(catalogue: &Catalogue<'_>) -> Verdict {
    let created = catalogue.members().find_map(|member| created(catalogue, member));
    catalogue.conclude(created.or_else(|| catalogue.members().find_map(|member| reused(catalogue, member))))
}

/// The first delivery of a member that no multicast explains.
fn created(catalogue: &Catalogue<'_>, member: usize) -> Option<Witness> {
    catalogue.deliveries(member).find_map(|(event, message)| {
        let record = catalogue.record(member);
        let story = unexplained(catalogue, record, event, message)?;
        let (name, place) = (catalogue.name(message), record.place(&[event]));
        Some(Witness(format!("{} delivered {name} {place}, {story}", record.name)))
    })
}

/// Why this delivery cannot be, if so. A sender whose record has no end may have multicast it after all.
fn unexplained(catalogue: &Catalogue<'_>, record: &Record, event: usize, message: usize) -> Option<String> {
    let Some(sender) = catalogue.sender(message) else {
        return Some("whose sender is no member".to_owned());
    };
    let Some(origin) = catalogue.origin(message) else {
        return sender.ended.then(|| format!("which {} never multicast", sender.name));
    };
    let place = sender.place(&[origin]);
    let (given, sent) = (record.events[event].text(), sender.events[origin].text());
    if given != sent {
        return Some(format!("as {given:?}; {} multicast it {place} as {sent:?}", sender.name));
    }
    let is_own = std::ptr::eq(record, sender);
    (is_own && event < origin).then(|| format!("before it multicast it {place}"))
}

/// Two messages under one identity.
fn reused(catalogue: &Catalogue<'_>, member: usize) -> Option<Witness> {
    let record = catalogue.record(member);
    let (event, message) =
        catalogue.multicasts(member).find(|&(event, message)| catalogue.origin(message) != Some(event))?;
    let place = record.place(&[catalogue.origin(message)?, event]);
    Some(Witness(format!("{} multicast two messages as {} {place}", record.name, catalogue.name(message))))
}
