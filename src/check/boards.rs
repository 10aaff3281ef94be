//! The results of a run as bulletin boards: for each member the numbered items that it delivered, and where the boards
//! contradict what a reader expects, or what the order promises.
//!
//! An item number is the position of a message among the deliveries of its member, from 1. A newcomer counts what was
//! delivered before its first view.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::checker::Checker;
use super::cluster::{Happening, Stories};
use super::history::{Event, Record};
use super::read::{self, Member, ResultFile, Run, SEPARATOR, sender};
use crate::exit::Failure;
use crate::order::Promise;
use crate::results::write_text;
use crate::talk::natural;

/// The word before the subject of a reply.
const REPLY: &[u8] = b"Re:";

/// The boards of one run.
#[derive(Debug)]
pub(crate) struct Boards {
    /// The group; `None` if there are only result files, which do not name it.
    pub(crate) group: Option<String>,
    /// The title of the order.
    pub(crate) order: String,
    /// Whether the order promises that an item number is one text everywhere.
    pub(crate) promises_numbers: bool,
    /// Whether the order promises that a reply is below its subject.
    pub(crate) promises_causes: bool,
    /// The board of each member that has a file, in natural order (c2 before c10).
    pub(crate) boards: Vec<Board>,
}

/// The board of one member.
#[derive(Debug)]
pub(crate) struct Board {
    pub(crate) member: String,
    pub(crate) items: Vec<Item>,
}

/// A row of a board.
#[derive(Debug)]
pub(crate) struct Item {
    /// The item number; `None` while it is tentative.
    pub(crate) number: Option<u64>,
    /// The name before `###`.
    pub(crate) from: String,
    /// The text on one line, as in a result file.
    pub(crate) subject: Vec<u8>,
    /// Whether another member has something else under this number.
    pub(crate) differs: bool,
    /// Whether it is a reply above its subject.
    pub(crate) is_above: bool,
    /// Whether it is known that its sender replied to what it had not delivered, so that no order puts it below.
    is_unread: bool,
}

impl Boards {
    /// Reads the boards of every run in a folder. `order` is the order whose promises count, if not the one that the
    /// files name. Also returns warnings that name the files that are not shown.
    ///
    /// # Errors
    /// Exit 66 if there are no results, or something cannot be read; exit 65 if a file is malformed.
    pub(crate) fn read(dir: &Path, order: Option<&str>) -> Result<(Vec<Self>, Vec<String>), Failure> {
        let (runs, warnings) = read::read(dir, None)?;
        Ok((runs.iter().map(|run| Self::of(run, order)).collect(), warnings))
    }

    fn of(run: &Run, order: Option<&str>) -> Self {
        let checker = Checker::new(run, order);
        let orders = checker.orders(order);
        let is_of_cluster = checker.is_of_cluster;
        let promises =
            |promise| is_of_cluster || orders.iter().all(|order| order.promises.contains(&promise));
        let mut boards = match &run.cluster {
            Some(cluster) => of_cluster(&Stories::new(cluster)),
            None => of_group(run),
        };
        boards.sort_by_cached_key(|board| natural(&board.member));
        mark_numbers(&mut boards);
        boards.iter_mut().for_each(Board::mark_replies);
        Self {
            group: run.group.clone(),
            order: checker.order(order),
            promises_numbers: promises(Promise::Total),
            promises_causes: promises(Promise::Causal),
            boards,
        }
    }

    /// Returns true if the boards break what the order promises.
    pub(crate) fn is_broken(&self) -> bool {
        self.promises_numbers && self.items().any(|item| item.differs) || self.is_a_cause_broken()
    }

    /// Returns true if a reply is above its subject although the order promises otherwise, as far as is known.
    pub(crate) fn is_a_cause_broken(&self) -> bool {
        self.promises_causes && self.items().any(|item| item.is_above && !item.is_unread)
    }

    /// Returns the items of all boards.
    pub(crate) fn items(&self) -> impl Iterator<Item = &Item> {
        self.boards.iter().flat_map(|board| &board.items)
    }
}

impl Board {
    fn new(member: &str, before: u64, rows: impl Iterator<Item = Row>) -> Self {
        let items = (before + 1..).zip(rows).map(|(number, row)| Item {
            number: (!row.is_tentative).then_some(number),
            from: row.from,
            subject: row.subject,
            differs: false,
            is_above: false,
            is_unread: row.is_unread,
        });
        Self { member: member.to_owned(), items: items.collect() }
    }

    /// Marks the replies that stand above everything with the subject that they reply to.
    fn mark_replies(&mut self) {
        let mut first: BTreeMap<&[u8], usize> = BTreeMap::new();
        for (place, item) in self.items.iter().enumerate() {
            first.entry(&item.subject).or_insert(place);
        }
        let is_above = |(place, item): (usize, &Item)| {
            let subject = subject_of(&item.subject);
            subject.and_then(|subject| first.get(subject)).is_some_and(|&first| first > place)
        };
        let marks: Vec<bool> = self.items.iter().enumerate().map(is_above).collect();
        self.items.iter_mut().zip(marks).for_each(|(item, is_above)| item.is_above = is_above);
    }
}

/// An item before it has its number.
#[derive(Debug, Default)]
struct Row {
    from: String,
    subject: Vec<u8>,
    is_tentative: bool,
    is_unread: bool,
}

/// Returns the subject to which a text replies, if it is a reply.
fn subject_of(text: &[u8]) -> Option<&[u8]> {
    text.strip_prefix(REPLY).map(<[u8]>::trim_ascii_start).filter(|subject| !subject.is_empty())
}

fn on_one_line(text: &[u8]) -> Vec<u8> {
    let mut line = Vec::with_capacity(text.len());
    write_text(&mut line, text);
    line
}

/// Marks the numbers under which members have different items.
fn mark_numbers(boards: &mut [Board]) {
    let mut known: BTreeMap<u64, (&str, &[u8])> = BTreeMap::new();
    let mut differing = BTreeSet::new();
    for item in boards.iter().flat_map(|board| &board.items) {
        let Some(number) = item.number else { continue };
        let content = (item.from.as_str(), item.subject.as_slice());
        if *known.entry(number).or_insert(content) != content {
            differing.insert(number);
        }
    }
    for item in boards.iter_mut().flat_map(|board| &mut board.items) {
        item.differs = item.number.is_some_and(|number| differing.contains(&number));
    }
}

/// Returns the boards of a group.
fn of_group(run: &Run) -> Vec<Board> {
    let unread: Vec<BTreeSet<&[u8]>> = run.history.records.iter().map(unread).collect();
    run.with_records().filter_map(|(member, record)| board(run, member, record, &unread)).collect()
}

/// Returns the board of a member of a group, if it has a file with deliveries. `unread` has the replies of each record
/// to what its member had not delivered.
fn board(run: &Run, member: &Member, record: &Record, unread: &[BTreeSet<&[u8]>]) -> Option<Board> {
    if member.history_file.is_none() {
        let delivered = member.delivered.as_ref()?;
        // The whole list of a member of a cluster begins with what is confirmed.
        let confirmed = delivered.lines().len();
        let whole = member.now.as_ref().filter(|now| now.lines().len() >= confirmed).unwrap_or(delivered);
        return Some(Board::new(&member.id, 0, rows_of_file(whole, confirmed)));
    }
    let deliveries = record.events.iter().enumerate().filter_map(|(place, event)| match event {
        Event::Deliver { id, text, .. } if record.is_seen(place) => Some((place, id.member, text)),
        _ => None,
    });
    let rows = deliveries.map(|(place, sender, text)| Row {
        from: record.author(place).unwrap_or(run.history.who(sender)).to_owned(),
        subject: on_one_line(text),
        is_tentative: false,
        // Nobody knows what an author has read.
        is_unread: record.author(place).is_some()
            || unread.get(usize::from(sender)).is_none_or(|texts| texts.contains(&text[..])),
    });
    Some(Board::new(&member.id, before(run, record), rows))
}

/// Returns the rows of a result file, of which the first ones are confirmed.
fn rows_of_file(file: &ResultFile, confirmed: usize) -> impl Iterator<Item = Row> {
    file.lines().enumerate().map(move |(place, line)| {
        let from = sender(&line);
        let subject = line[(from.len() + SEPARATOR.len()).min(line.len())..].to_vec();
        let from = String::from_utf8_lossy(from).into_owned();
        Row { from, subject, is_tentative: place >= confirmed, is_unread: false }
    })
}

/// Returns the number of messages that were delivered before the first view of a newcomer: members of two views in
/// sequence deliver the same between them.
fn before(run: &Run, record: &Record) -> u64 {
    let Some(first) = record.came_late() else { return 0 };
    let elders = run.history.records.iter().filter(|elder| elder.came_late().is_none());
    let mut views = elders.flat_map(|elder| elder.views.iter().map(move |view| (elder, view)));
    let found = views.find(|(_, view)| view.number == first);
    let count = |elder: &Record, end: usize| {
        let is_seen =
            |&place: &usize| matches!(elder.events[place], Event::Deliver { .. }) && elder.is_seen(place);
        (0..end).filter(is_seen).count() as u64
    };
    found.map_or(0, |(elder, view)| count(elder, view.at))
}

/// Returns the replies that a member multicast before it had delivered what they reply to.
fn unread(record: &Record) -> BTreeSet<&[u8]> {
    let (mut delivered, mut unread) = (BTreeSet::new(), BTreeSet::new());
    for event in &record.events {
        match event {
            Event::Deliver { text, .. } => drop(delivered.insert(&text[..])),
            Event::Multicast { text, .. }
                if subject_of(text).is_some_and(|subject| !delivered.contains(subject)) =>
            {
                unread.insert(&text[..]);
            }
            _ => {}
        }
    }
    unread
}

/// Returns the boards of a cluster. A reader sees a message as soon as it is shown.
fn of_cluster(stories: &Stories<'_>) -> Vec<Board> {
    let (mut boards, mut unread) = (Vec::new(), BTreeSet::new());
    for (slot, (story, _)) in (0u16..).zip(stories.members()) {
        let mut shown = BTreeSet::new();
        for (_, happening) in story.happenings() {
            match happening {
                Happening::Insert { text, .. } => drop(shown.insert(&text[..])),
                Happening::Multicast { text, .. }
                    if subject_of(text).is_some_and(|subject| !shown.contains(subject)) =>
                {
                    unread.insert((slot, &text[..]));
                }
                _ => {}
            }
        }
    }
    for (story, list) in stories.members().filter(|(story, _)| !story.lives.is_empty()) {
        let confirmed = list.confirmed.iter().map(|(id, _)| (*id, false));
        let all = confirmed.chain(list.unconfirmed().map(|id| (id, true)));
        let rows = all.map(|(id, is_tentative)| {
            let text = list.inserted[&id].text;
            let from = stories.history.who(id.0).to_owned();
            let is_unread = unread.contains(&(id.0, &text[..]));
            Row { from, subject: on_one_line(text), is_tentative, is_unread }
        });
        boards.push(Board::new(&story.name, 0, rows));
    }
    boards
}

#[cfg(test)]
mod tests {
    use super::*;

    fn board(member: &str, items: &[(&str, &str)]) -> Board {
        let row = |(from, subject): &(&str, &str)| Row {
            from: (*from).to_owned(),
            subject: subject.as_bytes().to_vec(),
            ..Row::default()
        };
        Board::new(member, 0, items.iter().map(row))
    }

    #[test]
    fn a_number_with_two_texts_is_marked_at_all_members() {
        let (mach, kernels) = (("a", "Mach"), ("b", "Microkernels"));
        let one = board("a", &[mach, kernels, ("b", "same")]);
        let other = board("b", &[kernels, mach, ("b", "same"), ("c", "more")]);
        let mut boards = [one, other];
        mark_numbers(&mut boards);
        let marks = boards.map(|board| board.items.iter().map(|item| item.differs).collect::<Vec<_>>());
        assert_eq!(marks, [vec![true, true, false], vec![true, true, false, false]]);
    }

    #[test]
    fn a_tentative_item_has_no_number_and_differs_from_nothing() {
        let tentative = Row { subject: b"x".to_vec(), is_tentative: true, ..Row::default() };
        let mut boards = [Board::new("a", 0, [tentative].into_iter()), board("b", &[("b", "y")])];
        mark_numbers(&mut boards);
        assert_eq!((boards[0].items[0].number, boards[1].items[0].differs), (None, false));
    }

    #[test]
    fn a_reply_is_marked_above_its_subject_alone() {
        let items =
            [("w", "Re: Mach"), ("a", "Mach"), ("w", "Re: Mach"), ("x", "Re: nothing here"), ("y", "Re:")];
        let mut board = board("a", &items);
        board.mark_replies();
        let marks: Vec<bool> = board.items.iter().map(|item| item.is_above).collect();
        assert_eq!(marks, [true, false, false, false, false]);
    }
}
