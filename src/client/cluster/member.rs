//! A member of a cluster between its start and its end: it submits what its script has, and writes what is shown and
//! confirmed.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::super::Options;
use super::super::progress::{Progress, Report};
use super::super::replay::at_speed;
use super::place::{self, Sent};
use crate::cli;
use crate::cluster::ledger::Ledger;
use crate::cluster::node::{Event, Node};
use crate::cluster::petition;
use crate::cluster::status::{self, Status, UNREACHABLE_AFTER};
use crate::exit::{Exit, Failure};
use crate::ids::{MemberId, Time};
use crate::replica::Recovered;
use crate::replica::entry::{Content, EntryId};
use crate::results::Counts;
use crate::results::cluster::ClusterResults;
use crate::script::{Op, Script};
use crate::session::SAY_EVERY;
use crate::talk::{self, Talk};
use crate::transport::signals::on_request;
use crate::units;
use crate::wire::BatchBuilder;

/// The time between two writings of the status.
const TELL_EVERY: Duration = Duration::from_secs(1);
/// The time for which a member that knows that all is confirmed everywhere tells the others so, at least.
const LINGER: Duration = Duration::from_millis(200);
/// The silence of a member after which it has ended, if the life before this one knew that everything was confirmed
/// everywhere: one that still runs tells what it has some twenty times in it.
const ENDED_AFTER: Duration = Duration::from_secs(1);

/// A member between its start and its end.
pub(super) struct Member<'a> {
    pub(super) options: &'a Options,
    pub(super) talk: &'a Talk,
    script: &'a Script,
    receivers: Vec<MemberId>,
    pub(super) node: Node,
    pub(super) ledger: Ledger,
    /// The next line of the script, and the end of the present sleep.
    at: usize,
    wakes: Time,
    /// The number of the next multicast, and of the next message to each member.
    next_multicast: u64,
    pub(super) next_direct: Vec<u64>,
    has_finished: bool,
    /// The state when something last happened, and its time.
    progress: ((Counts, u64, usize), Time),
    said: Time,
    /// The time of the last status.
    told: Time,
    cluster: &'a str,
    life: u32,
    report: Option<Report>,
    /// The time since when everything is confirmed everywhere.
    settled: Option<Time>,
    /// True if this life began with everything confirmed, and if the life before knew that it was so everywhere.
    began_complete: bool,
    had_settled: bool,
    /// The time at which it began to listen.
    began: Time,
    /// Set by SIGUSR1, which asks for the list as it is now.
    asked: Arc<AtomicBool>,
}

impl<'a> Member<'a> {
    pub(super) fn new(
        options: &'a Options,
        talk: &'a Talk,
        script: &'a Script,
        cluster: &'a str,
        node: Node,
        results: ClusterResults,
        recovered: &Recovered,
    ) -> Result<Self, Failure> {
        let forgotten = &recovered.forgotten;
        let slot = |id: &str| match node.names().iter().position(|name| name == id) {
            Some(slot) => Ok(MemberId(slot as u16)),
            // The cluster file may be ahead of the journal.
            None => {
                Err(Failure::new(Exit::Config, format!("cannot send to {id}: it is not known to be added"))
                    .help(
                        "take its lines out of the command file, or wait until this member has learned of it",
                    ))
            }
        };
        let receivers = script.receivers().map(slot).collect::<Result<_, Failure>>()?;
        let me = usize::from(node.me().0);
        Ok(Self {
            options,
            talk,
            script,
            receivers,
            at: 0,
            wakes: Time::ZERO,
            next_multicast: forgotten.origins[me].multicasts + 1,
            next_direct: forgotten.sent.iter().map(|sent| sent + 1).collect(),
            has_finished: forgotten.origins[me].finished,
            progress: ((Counts::default(), 0, 0), Time::ZERO),
            said: Time::ZERO,
            told: Time::ZERO,
            cluster,
            life: recovered.life,
            report: options.progress.then(Report::default),
            settled: None,
            began_complete: false,
            had_settled: false,
            began: Time::ZERO,
            asked: on_request()?,
            ledger: Ledger::new(results, recovered),
            node,
        })
    }

    /// Shows what the journal gave, and finds the place in the script.
    pub(super) fn begin(&mut self, recovered: &Recovered) -> Result<(), Failure> {
        let members = self.node.names().to_vec();
        let members: Vec<&str> = members.iter().map(String::as_str).collect();
        self.ledger.start(&self.node, self.cluster, recovered, |_, _| ())?;
        let events = self.node.events();
        let data = self.options.data.as_deref().unwrap_or(Path::new(""));
        self.at = place::find(self.script, &self.receivers, &self.sent_before(&events), data)?;
        self.ledger.replay(&self.node, &events)?;
        for event in &events {
            self.note(event);
            if let Event::Epoch(number, change) = event {
                self.begin_epoch(*number, change)?;
            }
        }
        self.began_complete = self.node.replica().is_complete();
        // To be read before this life writes its own status.
        self.had_settled = status::had_settled(data, recovered.life);
        let life = match recovered.life {
            1 => String::new(),
            life => format!(", life {life}: {} entries in the journal", recovered.entries),
        };
        self.talk.say(format!(
            "start of {} with {}, order tentative{life}",
            self.cluster,
            talk::list(&members)
        ));
        let now = self.node.now();
        (self.began, self.progress.1) = (now, now);
        // From now on an operator can ask for something.
        self.told = now;
        self.tell(now, None);
        Ok(())
    }

    /// Returns the messages of this member that its journal has, which these first events show.
    fn sent_before<'e>(&self, events: &'e [Event]) -> Sent<'e> {
        let directs = self.next_direct.iter().zip(0..).map(|(next, to)| (Some(MemberId(to)), next - 1));
        let last = directs.chain([(None, self.next_multicast - 1)]).collect();
        let mut sent = Sent { last, texts: Vec::new(), has_finished: self.has_finished };
        let own = events.iter().filter_map(|event| match event {
            Event::Insert(entry) if entry.id.origin == self.node.me() => Some(&entry.content),
            _ => None,
        });
        for content in own {
            let (stream, batch) = match content {
                Content::Multicast(batch) => (None, batch),
                Content::Direct(to, batch) => (Some(*to), batch),
                Content::Finished => {
                    sent.has_finished = true;
                    continue;
                }
            };
            sent.last.insert(stream, batch.next() - 1);
            sent.texts.extend(batch.messages().map(|(number, text)| (stream, number, text)));
        }
        sent
    }

    /// Takes part until everything is confirmed everywhere.
    pub(super) fn run(&mut self) -> Result<(), Failure> {
        loop {
            let until = self.replay()?;
            self.take_events()?;
            if self.is_over() {
                return Ok(());
            }
            self.look_around()?;
            self.node.turn(until)?;
            self.take_events()?;
        }
    }

    /// Submits what the script has for now. Returns the end of its sleep.
    fn replay(&mut self) -> Result<Option<Time>, Failure> {
        let now = self.node.now();
        while now >= self.wakes && !self.has_finished {
            if self.node.window() == 0 {
                return Ok(None);
            }
            match self.script.lines().get(self.at).map(|line| &line.op) {
                None | Some(Op::Leave) => {
                    self.has_finished = true;
                    self.node.submit(Content::Finished)?;
                }
                Some(Op::Sleep(length)) => {
                    self.wakes = now.after(at_speed(*length, self.options.speed));
                    self.at += 1;
                }
                Some(Op::Multicast(_) | Op::MulticastTo { .. }) => self.multicast()?,
                Some(Op::Send { to, .. }) => self.send(self.receivers[to.0 as usize])?,
            }
        }
        Ok((!self.has_finished).then_some(self.wakes))
    }

    /// Submits the next multicasts, as many as one entry holds.
    fn multicast(&mut self) -> Result<(), Failure> {
        let mut batch = self.node.batch(self.next_multicast);
        let script = self.script;
        while let Some(Op::Multicast(text) | Op::MulticastTo { text, .. }) =
            script.lines().get(self.at).map(|line| &line.op)
        {
            if !batch.fits(text.len()) {
                break;
            }
            let number = batch.push(text);
            self.ledger.multicast(&self.node, number, text)?;
            self.at += 1;
        }
        let Some(batch) = batch.finish() else { return Ok(()) };
        self.next_multicast = batch.next();
        self.node.submit(Content::Multicast(batch))
    }

    /// Submits the next message to one member.
    fn send(&mut self, to: MemberId) -> Result<(), Failure> {
        let Some(Op::Send { text, .. }) = self.script.lines().get(self.at).map(|line| &line.op) else {
            return Ok(());
        };
        let next = &mut self.next_direct[usize::from(to.0)];
        let mut batch = BatchBuilder::new(*next);
        batch.push(text);
        *next += 1;
        self.ledger.send();
        self.at += 1;
        batch.finish().map_or(Ok(()), |batch| self.node.submit(Content::Direct(to, batch)))
    }

    fn take_events(&mut self) -> Result<(), Failure> {
        let now = self.node.elapsed_micros();
        for event in self.node.events() {
            self.note(&event);
            self.ledger.record(&self.node, &event, now)?;
            if let Event::Epoch(number, change) = &event {
                self.begin_epoch(*number, change)?;
            }
        }
        self.ledger.keep(&mut self.node)
    }

    /// Notes the numbers of this member's own messages.
    fn note(&mut self, event: &Event) {
        let Event::Insert(entry) = event else { return };
        if entry.id.origin != self.node.me() {
            return;
        }
        match &entry.content {
            Content::Multicast(batch) => self.next_multicast = self.next_multicast.max(batch.next()),
            Content::Direct(to, batch) => {
                let next = &mut self.next_direct[usize::from(to.0)];
                *next = batch.next().max(*next);
            }
            Content::Finished => self.has_finished = true,
        }
    }

    /// Returns whether the run is over: everything is confirmed everywhere, and all members know it, as far as they can
    /// be heard. One that is heard and does not know it may hear nothing: the way to it may be cut in one direction.
    fn is_over(&mut self) -> bool {
        let now = self.node.now();
        let replica = self.node.replica();
        let is_gone = |member| match replica.heard(member) {
            None if self.had_settled && self.began_complete => now.since(self.began) >= ENDED_AFTER,
            heard => now.since(heard.unwrap_or_default()) >= UNREACHABLE_AFTER,
        };
        if !replica.is_settled() {
            // All was confirmed before this life began, and those that are not heard have ended since.
            return self.began_complete && replica.is_complete() && replica.behind().all(is_gone);
        }
        let is_known = replica.unsettled().all(is_gone);
        if self.settled.is_none() {
            self.settled = Some(now);
            // Before any other member learns it, so that one that is killed after that need not wait for them again.
            self.tell(now, None);
        }
        let since = self.settled.unwrap_or(now);
        now.since(since) >= LINGER && is_known
    }

    /// Says what is waited for, hands lines to the system, and gives up after the limit.
    fn look_around(&mut self) -> Result<(), Failure> {
        let now = self.node.now();
        let state = (self.ledger.counts(), self.node.replica().confirmed().entries, self.ledger.tentative());
        if state != self.progress.0 || now < self.wakes {
            self.progress = (state, now);
        }
        self.ledger.flush(now)?;
        if now.since(self.told) >= TELL_EVERY {
            self.told = now;
            self.tell(now, None);
            if let Some(data) = &self.options.data {
                petition::attend(&mut self.node, data, self.talk)?;
            }
        }
        if self.asked.swap(false, Ordering::Relaxed) {
            self.ledger.write_now(&self.node)?;
        }
        if self.report.as_ref().is_some_and(|report| report.is_due(now)) {
            self.report_progress(now);
        }
        let idle = now.since(self.progress.1);
        if idle >= self.options.timeout {
            let limit = units::duration(self.options.timeout);
            let why = format!("nothing has happened for {limit}: waited for {}", self.waits_for());
            return Err(Failure::new(Exit::TimedOut, why).help("raise --timeout to wait longer"));
        }
        if idle >= SAY_EVERY && now.since(self.said) >= SAY_EVERY {
            self.said = now;
            self.talk.say(format!("waiting for {}", self.waits_for()));
        }
        Ok(())
    }

    fn tell(&self, now: Time, end: Option<&str>) {
        let Some(data) = &self.options.data else { return };
        let mut status = Status::of(&self.node, self.cluster, self.life, now).ended(end);
        // A life that hears nobody knows what the one before knew.
        status.settled |= self.had_settled && self.node.replica().is_complete();
        status.tell(data, self.talk);
    }

    fn report_progress(&mut self, now: Time) {
        let Some(report) = &mut self.report else { return };
        let counts = self.ledger.counts();
        let delivered = counts.delivered + counts.received;
        let (done, total) = (self.at as u64, self.script.lines().len() as u64);
        report.send(
            Progress { done, total, delivered, held: self.ledger.tentative() as u64 },
            now,
            self.talk,
        );
    }

    fn waits_for(&mut self) -> String {
        let now = self.node.now();
        let replica = self.node.replica();
        let foreign = self.node.counts().objection();
        let describe = |member: MemberId| {
            let name = self.node.name(member);
            match replica.heard(member) {
                _ if member == self.node.me() => "itself".to_owned(),
                None => format!("{name} (never heard{foreign})"),
                Some(at) if now.since(at) >= Duration::from_secs(1) => {
                    format!(
                        "{name} (silent for {})",
                        units::duration(Duration::from_secs(now.since(at).as_secs()))
                    )
                }
                Some(_) => name.to_owned(),
            }
        };
        let list =
            |members: Vec<MemberId>| talk::list(&members.into_iter().map(describe).collect::<Vec<_>>());
        if replica.is_full() {
            let lacking = list(replica.lacking().collect());
            return format!("{lacking} to have all entries: the journal has reached --journal-limit");
        }
        if let Some((EntryId { origin, number }, holders)) = replica.lacks_forgotten() {
            let origin = self.node.name(origin);
            return format!(
                "{}: the journal lacks entry {number} of {origin}, which the others have forgotten",
                list(holders)
            );
        }
        if let Some(number) = replica.fetches_own() {
            return format!("its own entries up to {number}, which others have and its journal lacks");
        }
        let waits = replica.waits_for();
        let tentative = replica.tentative();
        if tentative > 0 && waits.is_empty() {
            return "its own journal".to_owned();
        }
        if tentative > 0 {
            return format!("{}, so that {tentative} entries can be confirmed", list(waits));
        }
        if replica.is_settled() {
            return format!("{} to learn that everything is confirmed", list(replica.unsettled().collect()));
        }
        if replica.is_complete() {
            return format!("{} to have everything", list(replica.behind().collect()));
        }
        format!("{} to finish", list(replica.unfinished().collect()))
    }

    /// Ends the files, and reports.
    pub(super) fn conclude(mut self, outcome: Result<(), Failure>, out: &Path) -> anyhow::Result<Exit> {
        let reason = match &outcome {
            Ok(()) => "settled",
            Err(failure) => super::super::reason(failure.exit),
        };
        let time = self.node.now();
        self.report_progress(time);
        self.tell(time, Some(reason));
        let counts = self.ledger.counts();
        let written = self.ledger.end(&self.node, reason);
        self.talk.detail(format!("datagrams: {}", self.node.counts()));
        let closed = self.node.finish();
        let described = super::super::describe(&counts);
        if let Err(failure) = outcome {
            if let Err(error) = written.map(drop).and(closed) {
                self.talk.warn(error.message);
            }
            let is_final =
                matches!(failure.exit, Exit::BadData | Exit::Config | Exit::Unavailable | Exit::Bug);
            let again = if is_final { "" } else { "; started again with the same command, it goes on" };
            self.talk.warn(format!("partial: {described}; see {}{again}", out.display()));
            return Err(failure.into());
        }
        closed?;
        let files: Vec<String> = written?.iter().map(|path| path.display().to_string()).collect();
        cli::print(&format!("{}: {described}; {}", self.options.id, files.join(" ")))?;
        Ok(Exit::Ok)
    }
}
