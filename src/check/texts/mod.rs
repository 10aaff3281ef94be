//! The properties as far as result files and command files alone can show them.
//!
//! A line of a result file gives the sender and the text, but not the message's identity. Two messages of one
//! sender with equal texts are therefore indistinguishable. A property is
//!
//! * *violated* if it cannot hold for any assignment of messages to lines, provided that the properties reported
//!   before it hold. (Texts `A B A` here and `A A B` there: if both members delivered the same two messages `A`,
//!   the order of `A` and `B` differs under any assignment. If not, agreement or no-duplicate is violated.)
//! * *valid* if it holds for every assignment, the members reached the end, and all that it concerns is in the
//!   files. (Equal files are in total order if no line occurs twice.)
//! * *undecided* otherwise.
//!
//! The k-th line with a text need not be the same message everywhere without FIFO order, so that is not assumed.
//! Only command files list the multicasts: a member that reached the end multicast all of them, another at most
//! those.

mod agreement;
mod causal;
mod convergence;
mod creation;
mod direct;
mod duplicates;
mod fifo;
mod prefix;
mod total;
mod validity;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::history::{Event, History, Record};
use super::read::{Commands, Member, ResultFile, Run, SEPARATOR, sender};
use super::verdict::{Place, Verdict, Witness};
use crate::place::quoted;
use crate::results::{result_line, write_text};

type Judge = fn(&Texts<'_>) -> Verdict;

/// The properties that texts can show, by name.
const JUDGES: [(&str, Judge); 10] = [
    ("no-creation", creation::judge),
    ("no-duplicate", duplicates::judge),
    ("validity", validity::judge),
    ("agreement", agreement::judge),
    ("fifo", fifo::judge),
    ("causal", causal::judge),
    ("total", total::judge),
    ("point-to-point", direct::judge),
    ("confirmed", prefix::judge),
    ("convergence", convergence::judge),
];

/// The texts of a run.
pub(super) struct Texts<'r> {
    run: &'r Run,
    /// All distinct lines, `<sender>###<text>`. The index of a line is its text id.
    lines: Vec<Bytes>,
    /// For each text id: its sender, if that is a member.
    senders: Vec<Option<usize>>,
    members: Vec<MemberTexts>,
    /// True for a cluster, whose files grow under their final names: only histories tell whether they are complete.
    grows: bool,
}

/// The texts of one member.
#[derive(Default)]
struct MemberTexts {
    delivered: Option<TextList>,
    received: Option<TextList>,
    /// The whole list of a member of a cluster, if it is not older than what the member delivered.
    now: Option<TextList>,
    /// The multicasts in its commands.
    asked: Option<TextList>,
    /// The direct messages in its commands, by receiver.
    sends: BTreeMap<String, TextList>,
}

/// A sequence of text ids and their line numbers.
struct TextList {
    member: String,
    file: String,
    text_ids: Vec<u32>,
    lines: Vec<u32>,
    /// True if nothing is missing at the end.
    ended: bool,
}

/// Assigns text ids to lines.
#[derive(Default)]
struct TextTable {
    text_ids: BTreeMap<Bytes, u32>,
    lines: Vec<Bytes>,
}

impl<'r> Texts<'r> {
    /// Indexes the texts of a run.
    pub(super) fn new(run: &'r Run, grows: bool) -> Self {
        let mut table = TextTable::default();
        // Read lines that this program wrote first; they show the escaping that other programs' files use.
        let mut members: Vec<MemberTexts> =
            run.members.iter().map(|member| MemberTexts::asked(member, &mut table)).collect();
        let histories = |has_one: bool| {
            run.with_records().zip(0..).filter(move |((_, record), _)| record.source.is_some() == has_one)
        };
        for ((member, record), place) in histories(true).chain(histories(false)) {
            members[place].read(&run.history, member, record, &mut table);
            if grows && record.source.is_none() {
                members[place].delivered.iter_mut().for_each(|list| list.ended = false);
            }
        }
        let authors = run.history.records.iter().flat_map(|record| record.authored.values());
        let authors: BTreeSet<&[u8]> = authors.map(|authored| authored.name.as_bytes()).collect();
        if !authors.is_empty() {
            let is_of_member = |text_id: u32| !authors.contains(sender(&table.lines[text_id as usize]));
            for list in members.iter_mut().filter_map(|member_texts| member_texts.delivered.as_mut()) {
                *list = list.filtered(is_of_member);
            }
        }
        let lines = table.lines;
        let ids: BTreeMap<&[u8], usize> =
            run.members.iter().map(|member| member.id.as_bytes()).zip(0..).collect();
        let senders = lines.iter().map(|line| ids.get(sender(line)).copied()).collect();
        Self { run, lines, senders, members, grows }
    }

    /// Judges the property of this name.
    pub(super) fn judge(&self, property: &str) -> Verdict {
        match JUDGES.iter().find(|(name, _)| *name == property) {
            Some((_, judge)) => judge(self),
            None => Verdict::Undecided("only histories tell".to_owned()),
        }
    }

    fn name(&self, member: usize) -> &'r str {
        &self.run.members[member].id
    }

    /// Formats a line for messages.
    fn quote(&self, text_id: u32) -> String {
        quoted(&self.lines[text_id as usize])
    }

    fn sender(&self, text_id: u32) -> Option<usize> {
        self.senders[text_id as usize]
    }

    /// Returns the deliveries of each member, as far as they are known.
    fn delivered(&self) -> impl Iterator<Item = &TextList> {
        self.members.iter().filter_map(|member_texts| member_texts.delivered.as_ref())
    }

    /// Returns the deliveries of the members that reached the end.
    fn ended(&self) -> impl Iterator<Item = &TextList> {
        self.delivered().filter(|list| list.ended)
    }

    /// Returns the multicasts in a member's commands, if they are known.
    fn asked(&self, member: usize) -> Option<&TextList> {
        self.members[member].asked.as_ref()
    }

    /// Returns the number of times each text id occurs.
    fn counts(&self, list: &TextList) -> Vec<u32> {
        let mut counts = vec![0; self.lines.len()];
        list.text_ids.iter().for_each(|&text_id| counts[text_id as usize] += 1);
        counts
    }

    /// Returns the number of times each text id's sender was asked to multicast it; `None` if it is unknown.
    fn asked_counts(&self) -> Vec<Option<u32>> {
        let known = |sender: &Option<usize>| sender.is_some_and(|sender| self.asked(sender).is_some());
        let mut counts: Vec<Option<u32>> =
            self.senders.iter().map(|sender| known(sender).then_some(0)).collect();
        for &text_id in self
            .members
            .iter()
            .filter_map(|member_texts| member_texts.asked.as_ref())
            .flat_map(|list| &list.text_ids)
        {
            counts[text_id as usize] = counts[text_id as usize].map(|count| count + 1);
        }
        counts
    }

    /// Returns an oracle's verdict from the violation it found or the reason why the texts do not decide.
    fn conclude(&self, violation: Option<Witness>, unclear: Option<String>) -> Verdict {
        if let Some(witness) = violation {
            return Verdict::Violated(witness);
        }
        let reason =
            unclear.or_else(|| self.unknown_end()).or_else(|| self.stranger()).or_else(|| self.nothing());
        reason.map_or(Verdict::Valid, Verdict::Undecided)
    }

    fn unknown_end(&self) -> Option<String> {
        let end = |(member_texts, member): (&MemberTexts, &Member)| match &member_texts.delivered {
            None => Some(format!("what {} delivered is not here", member.id)),
            Some(TextList { ended: false, .. }) if self.grows => {
                Some(format!("only a history tells whether {} settled", member.id))
            }
            Some(TextList { ended: false, file, .. }) => Some(format!("{file} has no end")),
            Some(_) => None,
        };
        self.members.iter().zip(&self.run.members).find_map(end)
    }

    /// Finds a delivery from a non-member, which may be a member with a missing file.
    fn stranger(&self) -> Option<String> {
        let delivered = self.delivered().flat_map(|list| &list.text_ids);
        let text_id = delivered.copied().find(|&text_id| self.sender(text_id).is_none())?;
        Some(format!("{} is from someone who has no files here", self.quote(text_id)))
    }

    /// Finds a repeated line: one message delivered twice or two with one text.
    fn ambiguous(&self) -> Option<String> {
        self.delivered().find_map(|list| self.repeated(list))
    }

    fn repeated(&self, list: &TextList) -> Option<String> {
        let counts = self.counts(list);
        let text_id = list.text_ids.iter().copied().find(|&text_id| counts[text_id as usize] > 1)?;
        let (line, place) = (self.quote(text_id), list.places_of(text_id));
        let member = &list.member;
        Some(format!("{member} has {line} more than once {place}: one message, or several with one text?"))
    }

    /// Returns a reason if only one member has files and nothing shows that it is the only member.
    fn alone(&self) -> Option<String> {
        let [member_texts] = &self.members[..] else { return None };
        let is_all = self.run.has_commands || self.run.starts().next().is_some();
        let member = &member_texts.delivered.as_ref()?.member;
        (!is_all).then(|| format!("only {member} has files here, and there is nobody to compare it with"))
    }

    fn nothing(&self) -> Option<String> {
        self.delivered().all(|list| list.text_ids.is_empty()).then(|| "nothing was delivered".to_owned())
    }

    /// Returns a reason if the commands of some member are unknown.
    fn unasked(&self) -> Option<String> {
        if !self.run.has_commands {
            return Some("result files do not tell what was multicast; --commands DIR does".to_owned());
        }
        let unknown = (0..self.members.len()).find(|&member| self.asked(member).is_none())?;
        Some(format!("what {} was asked to multicast is not known", self.name(unknown)))
    }
}

impl MemberTexts {
    /// Returns the texts of a member that was given its commands.
    fn asked(member: &Member, table: &mut TextTable) -> Self {
        let mut member_texts = Self::default();
        if let Some(commands) = &member.commands {
            member_texts.ask(&member.id, commands, table);
        }
        member_texts
    }

    /// Adds the member's deliveries and receipts.
    fn read(&mut self, history: &History, member: &Member, record: &Record, table: &mut TextTable) {
        let mut list = |file: Option<&ResultFile>, is_one: fn(&Event) -> bool| match (file, &record.source) {
            (Some(file), None) => Some(table.foreign(&member.id, file)),
            (Some(file), _) if file.ended => Some(table.file(&member.id, file, record.ended)),
            (_, Some(_)) => Some(table.record(history, record, is_one)),
            _ => None,
        };
        self.delivered = list(member.delivered.as_ref(), |event| matches!(event, Event::Deliver { .. }));
        self.received = list(member.received.as_ref(), |event| matches!(event, Event::Receive { .. }));
        self.now = member.now.as_ref().map(|file| table.file(&member.id, file, true));
    }

    fn ask(&mut self, id: &str, commands: &Commands, table: &mut TextTable) {
        let mut asked = TextList::new(id, &commands.file, true);
        for (line, text) in &commands.multicasts {
            asked.push(table.text_id(result_line(id, text).into()), *line);
        }
        self.asked = Some(asked);
        for (line, to, text) in &commands.sends {
            let list =
                self.sends.entry(to.clone()).or_insert_with(|| TextList::new(id, &commands.file, true));
            list.push(table.text_id(result_line(id, text).into()), *line);
        }
    }
}

impl TextTable {
    fn text_id(&mut self, line: Bytes) -> u32 {
        if let Some(&text_id) = self.text_ids.get(&line) {
            return text_id;
        }
        let text_id = self.lines.len() as u32;
        self.lines.push(line.clone());
        self.text_ids.insert(line, text_id);
        text_id
    }

    fn file(&mut self, id: &str, file: &ResultFile, ended: bool) -> TextList {
        let mut list = TextList::new(id, &file.name, ended);
        for (line, number) in file.lines().zip(1..) {
            list.push(self.text_id(line), number);
        }
        list
    }

    /// Reads a file that another program may have written, with escapes or with verbatim texts.
    fn foreign(&mut self, id: &str, file: &ResultFile) -> TextList {
        if !self.is_verbatim(file) {
            return self.file(id, file, file.ended);
        }
        let mut list = TextList::new(id, &file.name, file.ended);
        for (line, number) in file.lines().zip(1..) {
            list.push(self.text_id(as_we_write(&line)), number);
        }
        list
    }

    /// Returns true if the file's texts are verbatim: a backslash is no part of an escape, or more lines with
    /// backslashes match known lines when taken verbatim.
    fn is_verbatim(&self, file: &ResultFile) -> bool {
        let (mut escaped, mut verbatim) = (0, 0);
        for line in file.lines().filter(|line| line.contains(&b'\\')) {
            if !has_only_escapes(&line) {
                return true;
            }
            escaped += usize::from(self.text_ids.contains_key(&line));
            verbatim += usize::from(self.text_ids.contains_key(&as_we_write(&line)));
        }
        verbatim > escaped
    }

    fn record(&mut self, history: &History, record: &Record, is_one: fn(&Event) -> bool) -> TextList {
        let (file, lines) =
            record.source.as_ref().map_or(("", &[][..]), |source| (&*source.file, &source.lines));
        let mut list = TextList::new(&record.name, file, record.ended);
        let events = record.events.iter().enumerate().zip(lines);
        for ((place, event), line) in events.filter(|((_, event), _)| is_one(event)) {
            // Histories alone judge the texts of authors: command files do not tell them.
            if record.author(place).is_none() {
                list.push(
                    self.text_id(result_line(history.who(event.id().member), event.text()).into()),
                    *line,
                );
            }
        }
        list
    }
}

/// Converts a line with a verbatim text to the form that clients write.
fn as_we_write(line: &Bytes) -> Bytes {
    let sender = sender(line);
    let text = &line[sender.len() + SEPARATOR.len()..];
    let mut out = Vec::with_capacity(line.len() + 8);
    out.extend_from_slice(&line[..sender.len() + SEPARATOR.len()]);
    write_text(&mut out, text);
    out.into()
}

/// Returns true if every backslash of a line begins an escape that clients write.
fn has_only_escapes(line: &[u8]) -> bool {
    let mut bytes = line.iter();
    while let Some(byte) = bytes.next() {
        if *byte == b'\\' && !bytes.next().is_some_and(|next| matches!(next, b'\\' | b'n' | b'r')) {
            return false;
        }
    }
    true
}

impl TextList {
    fn new(member: &str, file: &str, ended: bool) -> Self {
        Self {
            member: member.to_owned(),
            file: file.to_owned(),
            text_ids: Vec::new(),
            lines: Vec::new(),
            ended,
        }
    }

    fn push(&mut self, text_id: u32, line: u32) {
        self.text_ids.push(text_id);
        self.lines.push(line);
    }

    /// Copies the list with only these text ids.
    fn filtered(&self, keep: impl Fn(u32) -> bool) -> Self {
        let mut list = Self::new(&self.member, &self.file, self.ended);
        for (&text_id, &line) in self.text_ids.iter().zip(&self.lines).filter(|(text_id, _)| keep(**text_id))
        {
            list.push(text_id, line);
        }
        list
    }

    /// Returns the place of the text ids at these indices.
    fn place(&self, indices: &[usize]) -> Place {
        let lines = indices.iter().map(|&index| self.lines[index]).collect();
        Place { member: self.member.clone(), file: Some(self.file.clone()), lines, also: vec![] }
    }

    /// Returns the place of all occurrences of a text id, at most the first eight.
    fn places_of(&self, text_id: u32) -> Place {
        const SHOWN: usize = 8;
        let indices = (0..self.text_ids.len()).filter(|&index| self.text_ids[index] == text_id);
        self.place(&indices.take(SHOWN).collect::<Vec<_>>())
    }
}
