//! Views and groups in words.

use super::told::{Group, View};
use crate::talk::{self, on_one_line};

/// Returns the servers that a server has not heard for a while; none if it hears all.
pub(super) fn away(view: &View) -> Vec<&str> {
    view.servers.iter().filter(|server| !server.reachable).map(|server| server.id.as_str()).collect()
}

/// Returns what a partition means, in one line.
pub(super) fn partition(view: &View) -> String {
    let away = away(view);
    let count = view.servers.len();
    if away.is_empty() {
        return format!("you see all {count} servers");
    }
    let here = view.servers.iter().filter(|server| server.reachable);
    let here: Vec<&str> = here.map(|server| server.id.as_str()).collect();
    let are = if away.len() == 1 { "is" } else { "are" };
    format!(
        "you see {} of {count} servers; nothing is final until {} {are} back",
        here.join(", "),
        talk::list(&away)
    )
}

/// Returns a view in several lines.
pub(super) fn view(view: &View) -> Vec<String> {
    let waits = match &*view.waits_for {
        [] => String::new(),
        servers => format!(", which wait for {}", talk::list(servers)),
    };
    let tentative = match view.tentative {
        0 => "nothing is tentative".to_owned(),
        count => format!("{count} tentative{waits}"),
    };
    let mut lines = vec![format!(
        "{} of {}: epoch {}, {} confirmed, {tentative}",
        view.server, view.cluster, view.epoch, view.confirmed
    )];
    for server in &view.servers {
        let heard = match server.heard_ms {
            _ if server.id == view.server => "this one".to_owned(),
            None => "not heard yet".to_owned(),
            Some(silence) if server.reachable => format!("heard {silence} ms ago"),
            Some(silence) => format!("away: not heard for {} s", silence / 1000),
        };
        let web = server.web.as_deref().unwrap_or("no address");
        lines.push(format!("  {}  {}  {heard}", server.id, on_one_line(web.as_bytes())));
    }
    lines.push(partition(view));
    lines
}

/// Returns a group in one line.
pub(super) fn group(group: &Group) -> String {
    let name = on_one_line(group.group.as_bytes());
    let unread = match group.unread {
        Some(unread) if unread > 0 => format!(", {unread} unread"),
        _ => String::new(),
    };
    let joined = if group.joined == Some(true) { ", joined" } else { "" };
    let posts = if group.posts == 1 { "post" } else { "posts" };
    format!("{name}: {} {posts}{unread}{joined}; {}", group.posts, members(group))
}

/// Returns the users of a group, with those whose servers are away.
pub(super) fn members(group: &Group) -> String {
    let name = |user: &String| {
        let away = if group.unreachable.contains(user) { " (away)" } else { "" };
        format!("{}{away}", on_one_line(user.as_bytes()))
    };
    talk::list(&group.users.iter().map(name).collect::<Vec<_>>())
}

/// Returns the changes between two states of a group, each in one line.
pub(super) fn changes(before: &Group, now: &Group) -> Vec<String> {
    let mut lines = Vec::new();
    let only = |these: &[String], others: &[String]| -> Vec<String> {
        let only = these.iter().filter(|user| !others.contains(user));
        only.map(|user| on_one_line(user.as_bytes())).collect()
    };
    let mut tell = |users: Vec<String>, one: &str, several: &str| {
        if !users.is_empty() {
            let what = if users.len() == 1 { one } else { several };
            lines.push(format!("{} {what}", talk::list(&users)));
        }
    };
    tell(only(&now.users, &before.users), "is here", "are here");
    tell(only(&before.users, &now.users), "has left", "have left");
    tell(
        only(&now.unreachable, &before.unreachable),
        "is away: its server is not heard",
        "are away: their servers are not heard",
    );
    if let Some(notice) = now.notice.as_ref().filter(|_| before.notice != now.notice) {
        lines.push(format!("{}: {}", on_one_line(now.group.as_bytes()), on_one_line(notice.as_bytes())));
    }
    lines
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn view_of(reachable: &[bool]) -> View {
        let server = |(at, reachable): (usize, &bool)| json!({"id": format!("s{}", at + 1), "reachable": reachable, "heard_ms": 12_000});
        let servers: Vec<_> = reachable.iter().enumerate().map(server).collect();
        serde_json::from_value(json!({"server": "s1", "cluster": "chat", "servers": servers})).unwrap()
    }

    #[test]
    fn a_partition_says_what_is_not_final() {
        assert_eq!(partition(&view_of(&[true, true])), "you see all 2 servers");
        assert_eq!(
            partition(&view_of(&[true, true, false])),
            "you see s1, s2 of 3 servers; nothing is final until s3 is back"
        );
        assert_eq!(
            partition(&view_of(&[true, false, false])),
            "you see s1 of 3 servers; nothing is final until s2 and s3 are back"
        );
        assert!(view(&view_of(&[true, false]))[2].ends_with("away: not heard for 12 s"));
    }

    #[test]
    fn changes_of_a_group_are_told_once() {
        let group = |users: &[&str], away: &[&str]| -> Group {
            serde_json::from_value(json!({"group": "news", "users": users, "unreachable": away})).unwrap()
        };
        let now = group(&["ann", "bob", "eve"], &["eve"]);
        assert_eq!(
            changes(&group(&["ann", "joe"], &[]), &now),
            ["bob and eve are here", "joe has left", "eve is away: its server is not heard"]
        );
        assert!(changes(&now, &now).is_empty());
    }
}
