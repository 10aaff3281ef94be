//! The picture as self-contained SVG, in the reader's light or dark theme.
//!
//! A dot is a multicast, a numbered pill a delivery, a bar a message held back, and a line a message in flight,
//! each in the colour of the sender.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use unicode_width::UnicodeWidthStr;

use super::hover;
use super::layout::{Bar, Lane, Layout};
use super::passages::Passages;
use super::sequence::Place;
use super::words::cut;
use crate::check::{EventKind, Member, Message, Timeline, TimelineEvent, Witness, escaped};
use crate::talk::{list, on_one_line};
use crate::units::seconds;

pub(super) const STYLE: &str = include_str!("picture.css");
pub(super) const DARK: &str = include_str!("dark.css");
pub(super) const HOVER: &str = include_str!("hover.js");
/// The number of colours in the style sheet.
const COLOURS: usize = 12;
/// The width of a character, and the space between a mark and its label.
pub(super) const LETTER: f64 = 6.7;
const TITLE_LETTER: f64 = 9.2;
const LABEL: f64 = 17.0;
/// The height of the row of names.
pub(super) const HEADS: f64 = 44.0;
/// The height of a line of text above the picture.
const ROW: f64 = 18.0;

/// The inputs of a picture, and its layout.
pub(super) struct Picture<'c> {
    pub(super) timeline: &'c Timeline,
    pub(super) passages: &'c Passages,
    pub(super) shown: &'c [Place],
    pub(super) is_whole: bool,
    pub(super) layout: Layout,
    /// All senders, members first; the index selects the colour.
    senders: Vec<&'c str>,
    faults: BTreeSet<Place>,
}

impl<'c> Picture<'c> {
    /// Creates a picture of these events.
    pub(super) fn new(
        timeline: &'c Timeline,
        passages: &'c Passages,
        shown: &'c [Place],
        is_whole: bool,
    ) -> Self {
        let mut senders: Vec<&str> = timeline.members.iter().map(|member| member.name.as_str()).collect();
        for message in &timeline.messages {
            if !senders.contains(&message.sender.as_str()) {
                senders.push(&message.sender);
            }
        }
        let layout = Layout::new(timeline, passages, shown);
        let faults = timeline.violation.as_ref();
        let faults = faults.map_or_else(BTreeSet::new, |(_, witness)| faults_of(timeline, witness));
        Self { timeline, passages, shown, is_whole, layout, senders, faults }
    }

    /// Returns the width, and the height without the rows above the lanes.
    pub(super) const fn size(&self) -> (f64, f64) {
        (self.layout.width, self.layout.height)
    }

    /// Returns the height of an event.
    #[cfg(test)]
    pub(super) fn height(&self, place: Place) -> f64 {
        self.layout.events[&place]
    }

    /// Returns a one-line summary.
    pub(super) fn title(&self) -> String {
        let Timeline { group, order, members, .. } = self.timeline;
        let count = |is_one: fn(&EventKind) -> bool| {
            let events = members.iter().flat_map(|member| &member.events);
            events.filter(|event| is_one(&event.kind)).count()
        };
        if self.timeline.slots.is_some() {
            let (counts, members) = (self.cluster_counts(), members.len());
            return format!("cluster {group}, {order}, {members} members: {counts}");
        }
        let multicasts = count(|what| *what == EventKind::Multicast);
        let deliveries = count(|what| matches!(what, EventKind::Deliver(_)));
        let members = members.len();
        format!("group {group}, {order}, {members} members: {multicasts} multicast, {deliveries} delivered")
    }

    /// Returns notes on missing information and on the part that is shown, one sentence each.
    pub(super) fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        let time = |&(lane, index): &Place| seconds(self.timeline.members[lane].events[index].time_us);
        if let (false, Some(first), Some(last)) = (self.is_whole, self.shown.first(), self.shown.last()) {
            notes.push(format!("This is a part of the run: from {} to {}.", time(first), time(last)));
        }
        let (traced, untraced): (Vec<_>, Vec<_>) =
            self.timeline.members.iter().partition(|member| member.is_traced);
        let names: Vec<&str> = untraced.iter().map(|member| member.name.as_str()).collect();
        if self.timeline.slots.is_some() {
            notes.extend(self.differing());
        } else if traced.is_empty() {
            notes.push(
                "When messages arrived and why they were held back is not in these histories; clients write it with \
                 --trace."
                    .to_owned(),
            );
        } else if !names.is_empty() {
            notes.push(format!("No messages arrived, or none were traced, at {}.", list(&names)));
        }
        let open = self.timeline.members.iter().filter_map(|member| member.open.as_ref());
        notes.extend(open.map(|why| format!("Not all is known: {why}.")));
        notes
    }

    /// Describes the first violation.
    pub(super) fn violation(&self) -> Option<String> {
        let (name, Witness { story, .. }) = self.timeline.violation.as_ref()?;
        Some(format!("{name} is violated: {}", on_one_line(story.as_bytes())))
    }

    /// Returns the position of the violation's first event.
    pub(super) fn fault(&self) -> Option<(f64, f64)> {
        self.faults
            .iter()
            .find_map(|place| Some((self.layout.lanes[place.0].axis, *self.layout.events.get(place)?)))
    }

    /// Returns true if the violation names this event.
    pub(super) fn is_fault(&self, place: Place) -> bool {
        self.faults.contains(&place)
    }

    /// Returns true if the violation is a missing event at this member.
    fn lacks(&self, member: &str) -> bool {
        let places = self.timeline.violation.iter().flat_map(|(_, witness)| &witness.places);
        places.into_iter().any(|place| place.member == member && place.lines.is_empty())
    }

    /// Draws the members' names above their lanes.
    pub(super) fn heads(&self) -> String {
        let mut out = String::from("<text class=\"pale\" x=\"8\" y=\"28\">seconds</text>\n");
        for (index, (lane, member)) in self.layout.lanes.iter().zip(&self.timeline.members).enumerate() {
            let name = cut(&member.name, ((lane.right - lane.axis + 30.0) / 8.0) as usize);
            let width = name.width() as f64 * 8.0 + 18.0;
            let frame = |class: &str, more: f64| {
                let (x, y) = (-width / 2.0 - more, -12.0 - more);
                let (width, height) = (2.0f64.mul_add(more, width), 2.0f64.mul_add(more, 22.0));
                format!(
                    "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" \
                     rx=\"6\"/>"
                )
            };
            let ring = if self.lacks(&member.name) { frame("ring", 4.0) } else { String::new() };
            let _ = writeln!(
                out,
                "<g class=\"s{}\" transform=\"translate({:.1},24)\">{}{ring}<text class=\"head\" y=\"4\">{}</text>\
                 <title>{}</title></g>",
                index % COLOURS,
                lane.axis,
                frame("pill", 0.0),
                escaped(&name),
                escaped(&format!("{}, told by {}", member.name, told_by(member))),
            );
        }
        out
    }

    /// Draws the lanes and their content.
    pub(super) fn body(&self) -> String {
        let mut out = String::new();
        self.stripes(&mut out);
        out.push_str("<g class=\"lines\">\n");
        self.lines(&mut out);
        out.push_str("</g>\n<g class=\"bars\">\n");
        self.rises(&mut out);
        self.layout.bars.iter().for_each(|bar| self.bar(&mut out, bar));
        out.push_str("</g>\n");
        for lane in 0..self.layout.lanes.len() {
            let _ = writeln!(out, "<g class=\"marks {}\">", if lane % 2 == 1 { "odd" } else { "even" });
            let mut places: Vec<Place> = self.shown.iter().copied().filter(|place| place.0 == lane).collect();
            places.sort_unstable();
            places.into_iter().for_each(|place| self.mark(&mut out, place));
            out.push_str("</g>\n");
        }
        out
    }

    fn stripes(&self, out: &mut String) {
        let height = self.layout.height;
        for (index, (lane, member)) in self.layout.lanes.iter().zip(&self.timeline.members).enumerate() {
            let Lane { left, right, axis } = lane;
            if index % 2 == 1 {
                let width = right - left;
                let _ = writeln!(
                    out,
                    "<rect class=\"stripe\" x=\"{left:.1}\" y=\"-8\" width=\"{width:.1}\" height=\"{:.1}\"/>",
                    height + 8.0
                );
            }
            let class = if member.open.is_some() { "axis lost" } else { "axis" };
            let _ = writeln!(
                out,
                "<line class=\"{class}\" x1=\"{axis:.1}\" x2=\"{axis:.1}\" y1=\"-8\" y2=\"{height:.1}\"/>"
            );
            for (from, to) in self.gaps(index) {
                let _ = writeln!(
                    out,
                    "<line class=\"gap\" x1=\"{axis:.1}\" x2=\"{axis:.1}\" y1=\"{from:.1}\" y2=\"{to:.1}\"/>"
                );
            }
        }
        out.push_str("<g class=\"pale\">\n");
        for (y, at) in &self.layout.times {
            let _ = writeln!(out, "<text x=\"8\" y=\"{:.1}\">{}</text>", y + 4.0, moment(*at));
        }
        out.push_str("</g>\n");
        for place in &self.faults {
            let Some(y) = self.layout.events.get(place) else { continue };
            let Lane { left, right, .. } = self.layout.lanes[place.0];
            let (y, width) = (y - 9.0, right - left);
            let _ = writeln!(
                out,
                "<rect class=\"fault\" x=\"{left:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"18\"/>"
            );
        }
    }

    /// Draws all lines of one message as one path.
    fn lines(&self, out: &mut String) {
        let mut lines: Vec<_> = self.layout.lines.iter().collect();
        lines.sort_by_key(|line| line.message);
        for ways in lines.chunk_by(|one, other| one.message == other.message) {
            let message = ways[0].message;
            let direct = if self.timeline.messages[message].to.is_some() { " direct" } else { "" };
            let mut path = String::new();
            for way in ways {
                let ((x1, y1), (x2, y2)) = (way.from, way.to);
                let _ = write!(path, "M{x1:.1} {y1:.1}L{x2:.1} {y2:.1}");
            }
            let _ = writeln!(
                out,
                "<path class=\"line{direct} {}\" data-m=\"{message}\" d=\"{path}\"/>",
                self.colour(message)
            );
        }
    }

    fn bar(&self, out: &mut String, bar: &Bar) {
        let Bar { lane, message, x, top, bottom, is_open } = bar;
        let (open, height) = (if *is_open { " open" } else { "" }, (bottom - top).max(3.0));
        let _ = writeln!(
            out,
            "<rect class=\"bar{open} {}\" data-m=\"{message}\" x=\"{:.1}\" y=\"{top:.1}\" width=\"4\" \
             height=\"{height:.1}\" rx=\"2\"><title>{}</title></rect>",
            self.colour(*message),
            x - 2.0,
            self.about(*lane, *message),
        );
    }

    fn mark(&self, out: &mut String, place: Place) {
        let (lane, index) = place;
        let event = &self.timeline.members[lane].events[index];
        let label = || event.message.map_or_else(String::new, |message| self.label(message));
        let (shape, class, label) = match &event.kind {
            EventKind::Wait(_) => return,
            EventKind::Arrive { .. } => return self.arrival(out, place),
            _ if self.timeline.is_own_at_the_end(place) => return,
            EventKind::Multicast => {
                let again = if event.is_again { "↺ " } else { "" };
                ("<circle class=\"dot\" r=\"6.5\"/>".to_owned(), "own", format!("{again}{}", label()))
            }
            EventKind::Deliver(number) => {
                (pill(number.map(|number| number.to_string()).as_deref()), "", label())
            }
            EventKind::Send => ("<circle class=\"hollow\" r=\"4\"/>".to_owned(), "pale", label()),
            EventKind::Undeliverable(_) => {
                ("<path class=\"hollow\" d=\"M-4 -4L4 4M4 -4L-4 4\"/>".to_owned(), "pale", label())
            }
            EventKind::Receive => {
                ("<path class=\"hollow\" d=\"M0 -5L5 0L0 5L-5 0Z\"/>".to_owned(), "pale", label())
            }
            _ => match self.cluster_mark(place) {
                Some(mark) => mark,
                None => return,
            },
        };
        let Lane { axis, right, .. } = self.layout.lanes[lane];
        let room = ((right - axis - LABEL - 4.0) / LETTER) as usize;
        let fault = self.faults.contains(&place);
        let label = cut(&label, room);
        let back = (label.width() as f64).mul_add(LETTER, 4.0);
        let ring = if fault { "<circle class=\"ring\" r=\"11\"/>" } else { "" };
        let wrong = if fault { " wrong" } else { "" };
        let _ = writeln!(
            out,
            "<g class=\"mark {}\"{} transform=\"translate({axis:.1},{:.1})\">\
             <rect class=\"back\" x=\"{:.1}\" y=\"-7\" width=\"{back:.1}\" height=\"14\"/>{shape}{ring}\
             <text class=\"{class}{wrong}\" x=\"{LABEL}\" y=\"4\">{}</text><title>{}</title></g>",
            self.colour_of(place),
            self.messages_of(place),
            self.layout.events.get(&place).copied().unwrap_or_default(),
            LABEL - 2.0,
            escaped(&label),
            self.details(place),
        );
    }

    /// Draws an arrival that has neither a bar nor a pill.
    fn arrival(&self, out: &mut String, (lane, index): Place) {
        let event = &self.timeline.members[lane].events[index];
        let Some(message) = event.message else { return };
        let passage = self.passages.of_message(lane, message);
        if passage.is_held_back() || passage.delivered.is_some() {
            return;
        }
        let y = self.layout.events.get(&(lane, index)).copied().unwrap_or_default();
        let _ = writeln!(
            out,
            "<circle class=\"mark hollow {}\" data-m=\"{}\" cx=\"{:.1}\" cy=\"{y:.1}\" r=\"3\"><title>{}</title></circle>",
            self.colour(message),
            message,
            self.layout.lanes[lane].axis,
            self.about(lane, message),
        );
    }

    fn about(&self, lane: usize, message: usize) -> String {
        escaped(&hover::about(self.timeline, self.passages, lane, message))
    }

    /// Describes an event, or what is known of its message.
    fn details(&self, place: Place) -> String {
        let event = &self.timeline.members[place.0].events[place.1];
        let of_message = event.message.map(|message| self.about(place.0, message));
        of_message.unwrap_or_else(|| escaped(&hover::about_event(self.timeline, place)))
    }

    /// Returns the attribute that names the messages of an event.
    fn messages_of(&self, (lane, index): Place) -> String {
        let event = &self.timeline.members[lane].events[index];
        let messages = match &event.kind {
            EventKind::Confirm { messages, .. } => messages.clone(),
            _ => event.message.into_iter().collect(),
        };
        let messages: Vec<String> = messages.iter().map(usize::to_string).collect();
        if messages.is_empty() { String::new() } else { format!(" data-m=\"{}\"", messages.join(" ")) }
    }

    /// Returns the colour of the sender; of the member if the event concerns no single message.
    fn colour_of(&self, (lane, index): Place) -> String {
        match self.timeline.members[lane].events[index].message {
            Some(message) => self.colour(message),
            None if matches!(self.timeline.members[lane].events[index].kind, EventKind::Confirm { .. }) => {
                "all".to_owned()
            }
            None => format!("s{}", lane % COLOURS),
        }
    }

    pub(super) fn colour(&self, message: usize) -> String {
        let sender = &self.timeline.messages[message].sender;
        let place = self.senders.iter().position(|name| name == sender).unwrap_or_default();
        format!("s{}", place % COLOURS)
    }

    /// Returns the short label of a message; the tooltip holds the details.
    pub(super) fn label(&self, message: usize) -> String {
        let message = &self.timeline.messages[message];
        let text = on_one_line(&message.text);
        match &message.to {
            Some(to) => format!("{}→{to} {text}", message.sender),
            None => format!("{} {text}", short(message)),
        }
    }
}

/// Formats the id without the incarnation, which is nearly always 1.
pub(super) fn short(message: &Message) -> String {
    match message.incarnation {
        1 => format!("{}/{}", message.sender, message.number),
        _ => message.id(),
    }
}

/// Draws a filled pill with a number, or a range of numbers.
pub(super) fn pill(number: Option<&str>) -> String {
    let Some(number) = number else { return "<circle class=\"pill\" r=\"5\"/>".to_owned() };
    let width = (number.len() as f64).mul_add(LETTER, 9.0).max(20.0);
    format!(
        "<rect class=\"pill\" x=\"{:.1}\" y=\"-7.5\" width=\"{width:.1}\" height=\"15\" rx=\"7.5\"/>\
         <text class=\"in\" y=\"4\">{number}</text>",
        -width / 2.0
    )
}

/// Formats a time for the gutter: seconds, with microseconds.
fn moment(micros: u64) -> String {
    let (millis, rest) = (micros % 1_000_000 / 1_000, micros % 1_000);
    format!("{}.{millis:03} {rest:03}", micros / 1_000_000)
}

/// Returns the events that a violation names.
pub(super) fn faults_of(timeline: &Timeline, witness: &Witness) -> BTreeSet<Place> {
    let mut faults = BTreeSet::new();
    for place in witness.places.iter().flat_map(|place| [place].into_iter().chain(&place.also)) {
        for (lane, member) in timeline.members.iter().enumerate() {
            let is_named = |(index, event): &(usize, &TimelineEvent)| {
                place.lines.contains(&event.line) && place.file.as_deref() == Some(member.file_of(*index))
            };
            let named = member.events.iter().enumerate().filter(is_named);
            faults.extend(named.map(|(index, _)| (lane, index)));
        }
    }
    faults
}

/// Renders the picture as a file.
pub(super) fn svg(picture: &Picture<'_>) -> String {
    let (width, height) = picture.size();
    let width = width.max(560.0);
    let mut above = String::new();
    let mut y = 8.0;
    let mut row = |class: &str, text: &str| {
        y += ROW;
        let _ = writeln!(above, "<text class=\"{class}\" x=\"8\" y=\"{y:.1}\">{}</text>", escaped(text));
    };
    for line in wrapped(&picture.title(), ((width - 16.0) / TITLE_LETTER) as usize) {
        row("title", &line);
    }
    let columns = ((width - 16.0) / LETTER) as usize;
    for line in picture.violation().iter().flat_map(|story| wrapped(story, columns)) {
        row("wrong", &line);
    }
    for line in picture.notes().iter().flat_map(|note| wrapped(note, columns)) {
        row("pale", &line);
    }
    let top = y + ROW + 12.0;
    let whole = top + HEADS + height;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"picture\" width=\"{width:.0}\" height=\"{whole:.0}\" \
         viewBox=\"0 0 {width:.0} {whole:.0}\">\n<style>\n{STYLE}@media (prefers-color-scheme: dark) {{\n{DARK}}}\n\
         </style>\n<rect class=\"paper\" width=\"100%\" height=\"100%\"/>\n{above}{}\
         <g transform=\"translate(0,{:.1})\">\n{}</g>\n<g transform=\"translate(0,{:.1})\">\n{}</g>\n\
         <script><![CDATA[\n{HOVER}]]></script>\n</svg>\n",
        legend(y + ROW, picture.timeline.slots.is_some()),
        top,
        picture.heads(),
        top + HEADS,
        picture.body(),
    )
}

/// Names the histories of a member.
fn told_by(member: &Member) -> String {
    list(&member.files)
}

/// Draws the legend.
pub(super) fn legend(y: f64, is_of_cluster: bool) -> String {
    let of_cluster = [
        (8.0, "<circle class=\"dot\" r=\"6.5\" cx=\"8\" cy=\"-4\"/>", "multicast"),
        (104.0, "<rect class=\"hollow\" x=\"-2\" y=\"-10\" width=\"20\" height=\"12\" rx=\"6\"/>", "shown"),
        (
            174.0,
            "<rect class=\"hollow\" x=\"-3\" y=\"-11.5\" width=\"22\" height=\"15\" rx=\"7.5\"/>\
             <text class=\"up\" x=\"8\">↑2</text>",
            "above 2 others",
        ),
        (
            300.0,
            "<rect class=\"pill\" x=\"-2\" y=\"-11.5\" width=\"20\" height=\"15\" rx=\"7.5\"/>\
             <text class=\"in\" x=\"8\">7</text>",
            "final, 7th",
        ),
        (398.0, "<rect class=\"bar\" x=\"12\" y=\"-12\" width=\"4\" height=\"16\" rx=\"2\"/>", "not final"),
        (486.0, "<path class=\"crash\" d=\"M5 -10L17 2M17 -10L5 2\"/>", "crash"),
    ];
    let of_group = [
        (8.0, "<circle class=\"dot\" r=\"6.5\" cx=\"8\" cy=\"-4\"/>", "multicast"),
        (
            100.0,
            "<rect class=\"pill\" x=\"-2\" y=\"-11.5\" width=\"20\" height=\"15\" rx=\"7.5\"/>\
             <text class=\"in\" x=\"8\">7</text>",
            "delivered, 7th",
        ),
        (226.0, "<rect class=\"bar\" x=\"12\" y=\"-12\" width=\"4\" height=\"16\" rx=\"2\"/>", "held back"),
        (316.0, "<circle class=\"hollow\" r=\"4\" cx=\"12\" cy=\"-4\"/>", "sent to one"),
        (420.0, "<path class=\"hollow\" d=\"M12 -9L17 -4L12 1L7 -4Z\"/>", "received"),
    ];
    let marks = if is_of_cluster { &of_cluster[..] } else { &of_group };
    let mut out = format!("<g class=\"legend s9\" transform=\"translate(0,{y:.1})\">\n");
    for (x, mark, word) in marks {
        let _ = writeln!(
            out,
            "<g transform=\"translate({x:.1},0)\">{mark}<text class=\"pale\" x=\"22\">{word}</text></g>"
        );
    }
    out + "</g>\n"
}

/// Wraps a text at spaces into lines of at most `columns` characters.
pub(super) fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let mut lines: Vec<String> = vec![String::new()];
    for word in text.split(' ') {
        let last = lines.last_mut().expect("there is one at least");
        if last.is_empty() {
            last.push_str(word);
        } else if last.width() + 1 + word.width() <= columns {
            last.push(' ');
            last.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}
