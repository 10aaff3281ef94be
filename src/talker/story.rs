//! The posts of a group as a person has seen them: what servers tell becomes lines. Pure.
//!
//! A line that was printed stays where it is. Therefore a post that comes later and stands above printed ones is printed
//! with the post that it stands before. A post is known by the number that its client gave it: it keeps its line when it
//! gets another id or another server tells of it.

use std::collections::{BTreeMap, BTreeSet};

use super::told::{Item, Numbered};
use crate::talk::{self, on_one_line};

/// Most posts that are kept.
const MOST_KEPT: usize = 5000;
/// Most posts that are remembered as shown.
const MOST_SHOWN: usize = 4 * MOST_KEPT;
/// Most posts printed at once; of more, the last ones are.
const MOST_PRINTED: usize = 200;
/// Confirmed posts that are taken once more from another server, for their likes.
const OVERLAP: usize = 100;
/// Characters of a post in a line about it.
const EXCERPT: usize = 40;

/// The identity of a post: its user, its client, and the number there.
type Key = (String, String, u64);

/// A group and its posts.
#[derive(Debug)]
pub(super) struct Story {
    pub(super) group: String,
    /// The posts in order, from the first that was shown.
    posts: Vec<Item>,
    shown: BTreeSet<Key>,
    /// The posts of a beginning that is not complete, and the number above which it is.
    coming: Vec<Item>,
    after: u64,
    /// For each server, the number of its last multicast that was seen.
    seen: BTreeMap<String, u64>,
}

impl Story {
    /// Returns a group of which the last posts are these; `after` is a number below all others.
    pub(super) fn new(group: &str, items: Vec<Item>, confirmed: u64) -> Self {
        let mut story = Self {
            group: group.to_owned(),
            posts: Vec::new(),
            shown: BTreeSet::new(),
            coming: Vec::new(),
            after: 0,
            seen: BTreeMap::new(),
        };
        let is_numbered = items.iter().any(|item| item.number.is_some());
        story.after = if is_numbered || items.is_empty() { 0 } else { confirmed };
        for item in items {
            story.note(&item);
            story.posts.push(item);
        }
        story
    }

    /// Returns the lines of all posts.
    pub(super) fn lines(&self) -> Vec<String> {
        self.posts.iter().map(line).collect()
    }

    /// Returns the number above which a server is to tell the posts, which begin anew.
    pub(super) fn resume(&mut self) -> u64 {
        self.coming.clear();
        let numbers: Vec<u64> = self.posts.iter().filter_map(|post| post.number).collect();
        if !numbers.is_empty() {
            self.after = numbers[numbers.len().saturating_sub(OVERLAP)] - 1;
        }
        self.after
    }

    /// Returns the last ids that were seen of each server, as servers read them.
    pub(super) fn seen(&self) -> String {
        let ids: Vec<String> = self.seen.iter().map(|(server, last)| format!("{server}-{last}")).collect();
        ids.join(",")
    }

    /// Begins anew above a number.
    pub(super) fn reset(&mut self, after: u64) {
        self.coming.clear();
        self.after = after;
    }

    /// Takes a part of everything above the number.
    pub(super) fn items(&mut self, items: Vec<Item>, last: bool) -> Vec<String> {
        self.coming.extend(items);
        if !last {
            return Vec::new();
        }
        let after = self.after;
        let mut kept: Vec<Item> = std::mem::take(&mut self.posts)
            .into_iter()
            .filter(|it| it.number.is_some_and(|it| it <= after))
            .collect();
        kept.append(&mut self.coming);
        self.posts = kept;
        let mut lines = Vec::new();
        // From the end: for each post, the next one below it that was shown before.
        let mut below: Option<String> = None;
        for item in self.posts.iter().rev() {
            if self.shown.contains(&key(item)) {
                below = Some(mark(item));
            } else {
                lines.push(below.as_ref().map_or_else(|| line(item), |below| inserted(item, below)));
            }
        }
        lines.reverse();
        for item in &self.posts {
            self.shown.insert(key(item));
            note_id(&mut self.seen, &item.id);
        }
        self.trim();
        let untold = lines.len().saturating_sub(MOST_PRINTED);
        if untold > 0 {
            lines.drain(..untold);
            lines.insert(0, format!("… {untold} more posts above; /history N shows them"));
        }
        lines
    }

    /// Takes a new post. Returns its line if it was not shown before.
    pub(super) fn item(&mut self, item: Item, before: Option<&str>) -> Option<String> {
        let key = key(&item);
        let is_shown = self.shown.contains(&key);
        // Another copy of the same post.
        self.posts.retain(|post| self::key(post) != key);
        let below = before.and_then(|before| self.posts.iter().position(|post| post.id == before));
        self.note(&item);
        let line = match below {
            Some(at) => inserted(&item, &mark(&self.posts[at])),
            None => line(&item),
        };
        self.posts.insert(below.unwrap_or(self.posts.len()), item);
        self.trim();
        (!is_shown).then_some(line)
    }

    /// Takes the numbers of posts that are confirmed now.
    pub(super) fn numbers(&mut self, numbers: &[Numbered]) {
        let numbers: BTreeMap<&str, u64> = numbers.iter().map(|it| (it.id.as_str(), it.number)).collect();
        for post in self.posts.iter_mut().rev() {
            if let Some(number) = numbers.get(post.id.as_str()) {
                post.number = Some(*number);
            }
        }
    }

    /// Takes the users who like a post now. Returns what has changed.
    pub(super) fn likes(&mut self, id: &str, likes: Vec<String>) -> Option<String> {
        let post = self.posts.iter_mut().find(|post| post.id == id)?;
        let before = std::mem::replace(&mut post.likes, likes);
        let of = |these: &[String], others: &[String]| -> Vec<String> {
            let only = these.iter().filter(|user| !others.contains(user));
            only.map(|user| on_one_line(user.as_bytes())).collect()
        };
        let (new, old) = (of(&post.likes, &before), of(&before, &post.likes));
        let said = match (new.is_empty(), old.is_empty()) {
            (true, true) => return None,
            (false, _) => format!("{} likes", talk::list(&new)),
            (true, false) => format!("{} no longer likes", talk::list(&old)),
        };
        Some(format!("♥ {said} {} {}", mark(post), excerpt(post)))
    }

    /// Takes out a post, or gives it another id. Returns a line if it is not there any more.
    pub(super) fn gone(&mut self, id: &str, now: Option<String>) -> Option<String> {
        let at = self.posts.iter().position(|post| post.id == id)?;
        match now {
            Some(now) if self.posts.iter().any(|post| post.id == now) => {
                self.posts.remove(at);
                None
            }
            Some(now) => {
                self.posts[at].id = now;
                None
            }
            None => {
                let post = self.posts.remove(at);
                self.shown.remove(&key(&post));
                Some(format!("withdrawn: {} {}", mark(&post), excerpt(&post)))
            }
        }
    }

    /// Returns the id and the name of a post: of one with this number, `#12` or `12`, or with this id; without a name, of
    /// the last one.
    pub(super) fn find(&self, name: &str) -> Option<(String, String)> {
        let number = name.trim_start_matches('#').parse::<u64>().ok();
        let is_it = |post: &&Item| match number {
            _ if name.is_empty() => true,
            Some(number) => post.number == Some(number),
            None => post.id == name.trim_start_matches('~'),
        };
        self.posts.iter().rev().find(is_it).map(|post| (post.id.clone(), mark(post)))
    }

    /// Returns the number of the last confirmed post.
    pub(super) fn confirmed(&self) -> u64 {
        self.posts.iter().filter_map(|post| post.number).next_back().unwrap_or_default()
    }

    /// Returns the numbers of the posts of one client, each with its number in the order.
    pub(super) fn own(&self, user: &str, client: &str) -> Vec<(u64, Option<u64>)> {
        let own = self.posts.iter().filter(|it| it.user == user && it.client.as_deref() == Some(client));
        own.map(|post| (post.n, post.number)).collect()
    }

    fn note(&mut self, item: &Item) {
        self.shown.insert(key(item));
        note_id(&mut self.seen, &item.id);
    }

    fn trim(&mut self) {
        // Tentative posts are at the end, and few.
        let spare = self.posts.len().saturating_sub(MOST_KEPT);
        if spare > 0 {
            self.posts.drain(..spare);
        }
        if self.shown.len() > MOST_SHOWN {
            self.shown = self.posts.iter().map(key).collect();
        }
    }
}

fn key(item: &Item) -> Key {
    (item.user.clone(), item.client.clone().unwrap_or_default(), item.n)
}

fn note_id(seen: &mut BTreeMap<String, u64>, id: &str) {
    let Some((server, number)) = id.rsplit_once('-') else { return };
    let Ok(number) = number.parse::<u64>() else { return };
    let last = seen.entry(server.to_owned()).or_default();
    *last = number.max(*last);
}

/// Returns the name of a post: `#12` if it is confirmed, `~s1-7` while it is tentative.
pub(super) fn mark(item: &Item) -> String {
    match item.number {
        Some(number) => format!("#{number}"),
        None => format!("~{}", on_one_line(item.id.as_bytes())),
    }
}

/// Returns a post on one line.
pub(super) fn line(item: &Item) -> String {
    let likes: Vec<String> = item.likes.iter().map(|user| on_one_line(user.as_bytes())).collect();
    let likes = if likes.is_empty() { String::new() } else { format!("  ♥ {}", talk::list(&likes)) };
    format!("{} {}{likes}", mark(item), said(item))
}

/// Returns a post that stands above one that was printed before.
fn inserted(item: &Item, below: &str) -> String {
    format!("↑ {} (before {below})", said(item))
}

fn said(item: &Item) -> String {
    let minutes = item.time_ms / 60_000;
    let (hour, minute) = (minutes / 60 % 24, minutes % 60);
    let (user, text) = (on_one_line(item.user.as_bytes()), on_one_line(item.text.as_bytes()));
    format!("{hour:02}:{minute:02} {user}: {text}")
}

fn excerpt(item: &Item) -> String {
    let text = on_one_line(item.text.as_bytes());
    let user = on_one_line(item.user.as_bytes());
    match text.char_indices().nth(EXCERPT) {
        Some((at, _)) => format!("{user}: {}…", &text[..at]),
        None => format!("{user}: {text}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn post(id: &str, number: Option<u64>, text: &str) -> Item {
        let n = id.rsplit_once('-').map_or(0, |(_, n)| n.parse().unwrap());
        Item {
            id: id.to_owned(),
            number,
            user: "ann".to_owned(),
            text: text.to_owned(),
            likes: Vec::new(),
            time_ms: 14 * 3_600_000 + 2 * 60_000,
            client: Some(id.split('-').next().unwrap_or_default().to_owned()),
            n,
        }
    }

    fn numbered(id: &str, number: u64) -> Numbered {
        Numbered { id: id.to_owned(), number }
    }

    #[test]
    fn a_post_above_printed_ones_says_where_it_stands() {
        let mut story = Story::new("news", vec![post("s1-1", Some(7), "one")], 7);
        assert_eq!(story.lines(), ["#7 14:02 ann: one"]);
        assert_eq!(story.item(post("s1-2", None, "two"), None).unwrap(), "~s1-2 14:02 ann: two");
        let late = story.item(post("s2-1", None, "late"), Some("s1-2")).unwrap();
        assert_eq!(late, "↑ 14:02 ann: late (before ~s1-2)");
        story.numbers(&[numbered("s2-1", 8), numbered("s1-2", 9)]);
        let later = story.item(post("s3-1", None, "later"), Some("s1-2")).unwrap();
        assert_eq!(later, "↑ 14:02 ann: later (before #9)");
        assert_eq!(story.seen(), "s1-2,s2-1,s3-1");
    }

    #[test]
    fn another_server_tells_what_was_missed_and_nothing_twice() {
        let mut story = Story::new("news", vec![post("s1-1", Some(7), "one")], 7);
        story.item(post("s1-2", None, "two"), None);
        assert_eq!(story.resume(), 6);
        let again = vec![
            post("s1-1", Some(7), "one"),
            post("s2-5", None, "missed"),
            post("s1-2", None, "two"),
            post("s2-6", None, "new"),
        ];
        let (first, rest) = again.split_at(2);
        assert!(story.items(first.to_vec(), false).is_empty());
        let lines = story.items(rest.to_vec(), true);
        assert_eq!(lines, ["↑ 14:02 ann: missed (before ~s1-2)", "~s2-6 14:02 ann: new"]);
        story.resume();
        assert!(story.items(again, true).is_empty());
    }

    #[test]
    fn a_post_that_a_server_lacks_keeps_its_line() {
        let mut story = Story::new("news", Vec::new(), 0);
        story.item(post("s1-1", None, "one"), None);
        story.resume();
        assert!(story.items(Vec::new(), true).is_empty());
        assert!(story.lines().is_empty());
        assert_eq!(story.item(post("s1-1", None, "one"), None), None, "it is back");
        assert_eq!(story.lines().len(), 1);
    }

    #[test]
    fn copies_of_a_post_have_one_line() {
        let mut story = Story::new("news", Vec::new(), 0);
        let copy = Item { id: "s2-9".to_owned(), ..post("s1-1", None, "one") };
        story.item(post("s1-1", None, "one"), None);
        assert_eq!(story.item(copy, None), None);
        assert_eq!(story.gone("s1-1", Some("s2-9".to_owned())), None);
        assert_eq!(story.lines(), ["~s2-9 14:02 ann: one"]);
        assert_eq!(story.gone("s2-9", None).unwrap(), "withdrawn: ~s2-9 ann: one");
        assert!(story.lines().is_empty());
    }

    #[test]
    fn likes_are_told_as_changes() {
        let mut story = Story::new("news", vec![post("s1-1", Some(7), "one")], 7);
        let of = |users: &[&str]| users.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
        assert_eq!(story.likes("s1-1", of(&["bob"])).unwrap(), "♥ bob likes #7 ann: one");
        assert_eq!(story.likes("s1-1", of(&["bob"])), None);
        assert_eq!(story.lines(), ["#7 14:02 ann: one  ♥ bob"]);
        assert_eq!(story.likes("s1-1", of(&[])).unwrap(), "♥ bob no longer likes #7 ann: one");
        assert_eq!(story.likes("s9-9", of(&["bob"])), None);
    }

    #[test]
    fn posts_are_found_by_number_and_by_id() {
        let story = Story::new("news", vec![post("s1-1", Some(7), "one"), post("s1-2", None, "two")], 7);
        for (name, id) in [("#7", "s1-1"), ("7", "s1-1"), ("s1-2", "s1-2"), ("~s1-2", "s1-2"), ("", "s1-2")] {
            assert_eq!(story.find(name).unwrap().0, id, "{name}");
        }
        assert_eq!(story.find("#8"), None);
    }

    #[test]
    fn texts_of_others_do_not_steer_the_terminal() {
        let shown = line(&post("s1-1", None, "a\n\u{1b}[2Jb"));
        assert_eq!(shown, "~s1-1 14:02 ann: a\\n\\u{1b}[2Jb");
    }
}
