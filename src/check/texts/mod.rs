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
mod creation;
mod direct;
mod duplicates;
mod fifo;
mod total;
mod validity;

use std::collections::BTreeMap;

use bytes::Bytes;

use super::history::{Event, History, Record};
use super::read::{Commands, Member, ResultFile, Run, SEPARATOR, sender};
use super::verdict::{Place, Verdict, Witness};
use crate::place::quoted;
use crate::results::{result_line, write_text};

type Judge = fn(&Texts<'_>) -> Verdict;

/// The properties that texts can show, by name.
const JUDGES: [(&str, Judge); 8] = [
    ("no-creation", creation::judge),
    ("no-duplicate", duplicates::judge),
    ("validity", validity::judge),
    ("agreement", agreement::judge),
    ("fifo", fifo::judge),
    ("causal", causal::judge),
    ("total", total::judge),
    ("point-to-point", direct::judge),
];

/// The texts of a run.
pub(super) struct Texts<'r> {
    run: &'r Run,
    /// All distinct lines, `<sender>###<text>`. The index of a line is its *word*.
    lines: Vec<Bytes>,
    /// For each word: its sender, if that is a member.
    senders: Vec<Option<usize>>,
    members: Vec<Page>,
}

/// The texts of one member.
#[derive(Default)]
struct Page {
    delivered: Option<Sheet>,
    received: Option<Sheet>,
    /// The multicasts in its commands.
    asked: Option<Sheet>,
    /// The direct messages in its commands, by receiver.
    sends: BTreeMap<String, Sheet>,
}

/// A sequence of words and their line numbers.
struct Sheet {
    member: String,
    file: String,
    words: Vec<u32>,
    lines: Vec<u32>,
    /// True if nothing is missing at the end.
    ended: bool,
}

/// Assigns words to lines.
#[derive(Default)]
struct Dictionary {
    words: BTreeMap<Bytes, u32>,
    lines: Vec<Bytes>,
}

impl<'r> Texts<'r> {
    /// Indexes the texts of a run.
    pub(super) fn new(run: &'r Run) -> Self {
        let mut dictionary = Dictionary::default();
        // Read lines that this program wrote first; they show the escaping that other programs' files use.
        let mut members: Vec<Page> =
            run.members.iter().map(|member| Page::asked(member, &mut dictionary)).collect();
        let histories = |has_one: bool| {
            run.with_records().zip(0..).filter(move |((_, record), _)| record.source.is_some() == has_one)
        };
        for ((member, record), place) in histories(true).chain(histories(false)) {
            members[place].read(&run.history, member, record, &mut dictionary);
        }
        let lines = dictionary.lines;
        let ids: BTreeMap<&[u8], usize> =
            run.members.iter().map(|member| member.id.as_bytes()).zip(0..).collect();
        let senders = lines.iter().map(|line| ids.get(sender(line)).copied()).collect();
        Self { run, lines, senders, members }
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
    fn quote(&self, word: u32) -> String {
        quoted(&self.lines[word as usize])
    }

    fn sender(&self, word: u32) -> Option<usize> {
        self.senders[word as usize]
    }

    /// Returns the deliveries of each member, as far as they are known.
    fn delivered(&self) -> impl Iterator<Item = &Sheet> {
        self.members.iter().filter_map(|page| page.delivered.as_ref())
    }

    /// Returns the deliveries of the members that reached the end.
    fn ended(&self) -> impl Iterator<Item = &Sheet> {
        self.delivered().filter(|sheet| sheet.ended)
    }

    /// Returns the multicasts in a member's commands, if they are known.
    fn asked(&self, member: usize) -> Option<&Sheet> {
        self.members[member].asked.as_ref()
    }

    /// Returns the number of times each word occurs.
    fn counts(&self, sheet: &Sheet) -> Vec<u32> {
        let mut counts = vec![0; self.lines.len()];
        sheet.words.iter().for_each(|&word| counts[word as usize] += 1);
        counts
    }

    /// Returns the number of times each word's sender was asked to multicast it; `None` if it is unknown.
    fn asked_counts(&self) -> Vec<Option<u32>> {
        let known = |sender: &Option<usize>| sender.is_some_and(|sender| self.asked(sender).is_some());
        let mut counts: Vec<Option<u32>> =
            self.senders.iter().map(|sender| known(sender).then_some(0)).collect();
        for &word in self.members.iter().filter_map(|page| page.asked.as_ref()).flat_map(|sheet| &sheet.words)
        {
            counts[word as usize] = counts[word as usize].map(|count| count + 1);
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
        let end = |(page, member): (&Page, &Member)| match &page.delivered {
            None => Some(format!("what {} delivered is not here", member.id)),
            Some(Sheet { ended: false, file, .. }) => Some(format!("{file} has no end")),
            Some(_) => None,
        };
        self.members.iter().zip(&self.run.members).find_map(end)
    }

    /// Finds a delivery from a non-member, which may be a member with a missing file.
    fn stranger(&self) -> Option<String> {
        let delivered = self.delivered().flat_map(|sheet| &sheet.words);
        let word = delivered.copied().find(|&word| self.sender(word).is_none())?;
        Some(format!("{} is from someone who has no files here", self.quote(word)))
    }

    /// Finds a repeated line: one message delivered twice or two with one text.
    fn ambiguous(&self) -> Option<String> {
        self.delivered().find_map(|sheet| self.repeated(sheet))
    }

    fn repeated(&self, sheet: &Sheet) -> Option<String> {
        let counts = self.counts(sheet);
        let word = sheet.words.iter().copied().find(|&word| counts[word as usize] > 1)?;
        let (line, place) = (self.quote(word), sheet.places_of(word));
        let member = &sheet.member;
        Some(format!("{member} has {line} more than once {place}: one message, or several with one text?"))
    }

    /// Returns a reason if only one member has files and nothing shows that it is the only member.
    fn alone(&self) -> Option<String> {
        let [page] = &self.members[..] else { return None };
        let is_all = self.run.has_commands || self.run.starts().next().is_some();
        let member = &page.delivered.as_ref()?.member;
        (!is_all).then(|| format!("only {member} has files here, and there is nobody to compare it with"))
    }

    fn nothing(&self) -> Option<String> {
        self.delivered().all(|sheet| sheet.words.is_empty()).then(|| "nothing was delivered".to_owned())
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

impl Page {
    /// Creates a page with the member's commands.
    fn asked(member: &Member, dictionary: &mut Dictionary) -> Self {
        let mut page = Self::default();
        if let Some(commands) = &member.commands {
            page.ask(&member.id, commands, dictionary);
        }
        page
    }

    /// Adds the member's deliveries and receipts.
    fn read(&mut self, history: &History, member: &Member, record: &Record, dictionary: &mut Dictionary) {
        let mut sheet = |file: Option<&ResultFile>, is_one: fn(&Event) -> bool| match (file, &record.source) {
            (Some(file), None) => Some(dictionary.foreign(&member.id, file)),
            (Some(file), _) if file.ended => Some(dictionary.file(&member.id, file, record.ended)),
            (_, Some(_)) => Some(dictionary.record(history, record, is_one)),
            _ => None,
        };
        self.delivered = sheet(member.delivered.as_ref(), |event| matches!(event, Event::Deliver { .. }));
        self.received = sheet(member.received.as_ref(), |event| matches!(event, Event::Receive { .. }));
    }

    fn ask(&mut self, id: &str, commands: &Commands, dictionary: &mut Dictionary) {
        let mut asked = Sheet::new(id, &commands.file, true);
        for (line, text) in &commands.multicasts {
            asked.push(dictionary.word(result_line(id, text).into()), *line);
        }
        self.asked = Some(asked);
        for (line, to, text) in &commands.sends {
            let sheet = self.sends.entry(to.clone()).or_insert_with(|| Sheet::new(id, &commands.file, true));
            sheet.push(dictionary.word(result_line(id, text).into()), *line);
        }
    }
}

impl Dictionary {
    fn word(&mut self, line: Bytes) -> u32 {
        if let Some(&word) = self.words.get(&line) {
            return word;
        }
        let word = self.lines.len() as u32;
        self.lines.push(line.clone());
        self.words.insert(line, word);
        word
    }

    fn file(&mut self, id: &str, file: &ResultFile, ended: bool) -> Sheet {
        let mut sheet = Sheet::new(id, &file.name, ended);
        for (line, number) in file.lines().zip(1..) {
            sheet.push(self.word(line), number);
        }
        sheet
    }

    /// Reads a file that another program may have written, with escapes or with verbatim texts.
    fn foreign(&mut self, id: &str, file: &ResultFile) -> Sheet {
        if !self.is_verbatim(file) {
            return self.file(id, file, file.ended);
        }
        let mut sheet = Sheet::new(id, &file.name, file.ended);
        for (line, number) in file.lines().zip(1..) {
            sheet.push(self.word(as_we_write(&line)), number);
        }
        sheet
    }

    /// Returns true if the file's texts are verbatim: a backslash is no part of an escape, or more lines with
    /// backslashes match known lines when taken verbatim.
    fn is_verbatim(&self, file: &ResultFile) -> bool {
        let (mut escaped, mut verbatim) = (0, 0);
        for line in file.lines().filter(|line| line.contains(&b'\\')) {
            if !has_only_escapes(&line) {
                return true;
            }
            escaped += usize::from(self.words.contains_key(&line));
            verbatim += usize::from(self.words.contains_key(&as_we_write(&line)));
        }
        verbatim > escaped
    }

    fn record(&mut self, history: &History, record: &Record, is_one: fn(&Event) -> bool) -> Sheet {
        let (file, lines) =
            record.source.as_ref().map_or(("", &[][..]), |source| (&*source.file, &source.lines));
        let mut sheet = Sheet::new(&record.name, file, record.ended);
        for (event, line) in record.events.iter().zip(lines).filter(|(event, _)| is_one(event)) {
            sheet.push(self.word(result_line(history.who(event.id().member), event.text()).into()), *line);
        }
        sheet
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

impl Sheet {
    fn new(member: &str, file: &str, ended: bool) -> Self {
        Self { member: member.to_owned(), file: file.to_owned(), words: Vec::new(), lines: Vec::new(), ended }
    }

    fn push(&mut self, word: u32, line: u32) {
        self.words.push(word);
        self.lines.push(line);
    }

    /// Copies the sheet with only these words.
    fn filtered(&self, keep: impl Fn(u32) -> bool) -> Self {
        let mut sheet = Self::new(&self.member, &self.file, self.ended);
        for (&word, &line) in self.words.iter().zip(&self.lines).filter(|(word, _)| keep(**word)) {
            sheet.push(word, line);
        }
        sheet
    }

    /// Returns the place of the words at these indices.
    fn place(&self, indices: &[usize]) -> Place {
        let lines = indices.iter().map(|&index| self.lines[index]).collect();
        Place { member: self.member.clone(), file: Some(self.file.clone()), lines }
    }

    /// Returns the place of all occurrences of a word, at most the first eight.
    fn places_of(&self, word: u32) -> Place {
        const SHOWN: usize = 8;
        let indices = (0..self.words.len()).filter(|&index| self.words[index] == word);
        self.place(&indices.take(SHOWN).collect::<Vec<_>>())
    }
}
