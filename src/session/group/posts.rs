//! Open groups: the texts of processes that are no members. The forwarder hands each to a client, which multicasts it and
//! says when it has delivered it itself. If that client is lost meanwhile, another one is asked.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::{Group, Phase};
use crate::engine::Time;
use crate::exit::{Exit, Failure};
use crate::session::actions::{Actions, Asker, Incoming, refused};
use crate::session::member::Member;
use crate::session::{HAND_AGAIN, LOST_AFTER, MAX_UNDER_WAY, STANDBY_LIMIT};
use crate::talk::list;
use crate::wire::batch::MAX_POSTED;
use crate::wire::control::{Ask, HOLD_MILLIS, Identity, Post, Receipt, Say};

/// Most delivered texts that are remembered, for authors that did not hear of it.
const MAX_DELIVERED: usize = 256;
/// Most texts in one answer to a client.
const MAX_HANDED: usize = 16;
/// Most lost members that may have multicast one text.
const MAX_LOST: usize = 16;
/// Time for which a closed connection of a client is no reason to ask another one.
const GONE: Duration = Duration::from_secs(1);
/// Time after which a text is refused because no client multicasts any more.
const NOBODY: Duration = STANDBY_LIMIT;

/// The texts of the authors of a group.
#[derive(Debug, Default)]
pub(super) struct Posts {
    under_way: Vec<UnderWay>,
    /// Delivered texts: key and number of each, and the message.
    delivered: VecDeque<((u64, u64), String)>,
}

/// A text that no client has said to be delivered.
#[derive(Debug)]
struct UnderWay {
    post: Post,
    asker: Asker,
    /// The request that waits for an answer, and since when.
    held: Option<(u64, Time)>,
    heard: Time,
    /// The slot of the client that has it, and when it was handed over.
    at: Option<(u16, Time)>,
    /// Whether that client has not said for so long what has become of it that it is handed over again.
    is_due: bool,
    /// The clients that do not multicast it.
    declined: BTreeSet<u16>,
    /// The time since which no client multicasts texts.
    nobody_since: Option<Time>,
}

impl UnderWay {
    fn key(&self) -> (u64, u64) {
        (self.post.key, self.post.number)
    }

    fn answer(&mut self, say: Say, actions: &mut Actions) {
        if let Some((seq, _)) = self.held.take() {
            actions.reply(self.asker.clone(), seq, say);
        }
    }

    /// Takes the text back from a client that may have multicast it.
    fn is_lost_with(&mut self, slot: u16) {
        (self.at, self.is_due) = (None, false);
        self.post.again = true;
        if !self.post.lost.contains(&slot) && self.post.lost.len() < MAX_LOST {
            self.post.lost.push(slot);
        }
    }
}

impl Group {
    /// Handles the request of an author. It is answered when the text is delivered, or when it has been held for long
    /// enough.
    pub(in crate::session) fn post(&mut self, now: Time, incoming: Incoming, actions: &mut Actions) {
        let who = &incoming.request.who;
        let Ask::Post { number, text, again } = &incoming.request.ask else { return };
        let key = (who.nonce, *number);
        if let Some((_, id)) = self.posts.delivered.iter().find(|(known, _)| *known == key) {
            let id = id.clone();
            return actions.answer(incoming, Say::Posted { id });
        }
        if let Err(failure) = self.may_post(who, text) {
            return actions.refuse(incoming, &failure);
        }
        let seq = incoming.request.seq;
        if let Some(known) = self.posts.under_way.iter_mut().find(|known| known.post.key == who.nonce) {
            if known.post.number != *number {
                let why = format!("{} has another text under way", who.id);
                return actions.refuse(incoming, &Failure::new(Exit::Unavailable, why));
            }
            known.held = Some((seq, known.held.map_or(now, |(_, since)| since)));
            (known.asker, known.heard) = (incoming.asker, now);
            return;
        }
        if self.posts.under_way.len() >= MAX_UNDER_WAY {
            let why = format!("group {} has {MAX_UNDER_WAY} texts of authors under way", self.name);
            return actions.refuse(incoming, &Failure::new(Exit::Unavailable, why));
        }
        let post = Post {
            author: who.id.clone(),
            key: who.nonce,
            number: *number,
            text: text.clone(),
            lost: Vec::new(),
            again: *again,
        };
        self.posts.under_way.push(UnderWay {
            post,
            asker: incoming.asker,
            held: Some((seq, now)),
            heard: now,
            at: None,
            is_due: false,
            declined: BTreeSet::new(),
            nobody_since: None,
        });
    }

    /// Checks whether this author may post this text here.
    fn may_post(&self, who: &Identity, text: &str) -> Result<(), Failure> {
        let (group, author) = (&self.name, &who.id);
        if self.is_over() {
            return Err(Failure::new(Exit::Unavailable, format!("group {group} is over")));
        }
        if self.incarnations.contains_key(author) {
            let why =
                format!("{author} is the id of a member of group {group}, and an author needs another name");
            return Err(Failure::new(Exit::Usage, why));
        }
        if text.len() > MAX_POSTED {
            let why =
                format!("a text of an author has at most {MAX_POSTED} bytes, this one has {}", text.len());
            return Err(Failure::new(Exit::Usage, why));
        }
        let is_known = |client: &&Member| client.peer.nonce.is_some();
        if let Some(client) = self.clients().filter(is_known).find(|client| client.posts.is_none()) {
            let why = format!("{} of group {group} does not deliver texts of authors", client.seat.id);
            return Err(Failure::new(Exit::Unavailable, why));
        }
        Ok(())
    }

    /// Notes what has become of texts at the client with this slot.
    pub(super) fn note_receipts(&mut self, slot: u16, receipts: Vec<Receipt>, actions: &mut Actions) {
        for Receipt { key, number, id } in receipts {
            let under_way = &mut self.posts.under_way;
            let Some(place) = under_way.iter().position(|one| one.key() == (key, number)) else { continue };
            let Some(id) = id else {
                let one = &mut under_way[place];
                one.declined.insert(slot);
                one.at = one.at.filter(|(at, _)| *at != slot);
                continue;
            };
            let mut one = under_way.remove(place);
            one.answer(Say::Posted { id: id.clone() }, actions);
            if self.posts.delivered.len() == MAX_DELIVERED {
                self.posts.delivered.pop_front();
            }
            self.posts.delivered.push_back((one.key(), id));
        }
    }

    /// Hands texts to clients, and answers the authors that have waited for long enough.
    pub(super) fn tick_posts(&mut self, now: Time, actions: &mut Actions) {
        if self.posts.under_way.is_empty() {
            return;
        }
        if self.is_over() {
            let why = format!("group {} ended before any member had delivered the text", self.name);
            let say = refused(&Failure::new(Exit::Unavailable, why));
            self.posts.under_way.drain(..).for_each(|mut one| one.answer(say.clone(), actions));
            return;
        }
        // An author that is gone learns nothing; its text stays with the client that has it.
        self.posts.under_way.retain(|one| now < one.heard.after(LOST_AFTER));
        if self.is_running() {
            self.take_back(now);
            self.hand_out(now, actions);
            self.refuse_without_clients(now, actions);
        }
        let what = self.posts.under_way.iter().map(|one| self.waits_for(one)).collect::<Vec<_>>();
        for (one, missing) in self.posts.under_way.iter_mut().zip(what) {
            if one.held.is_some_and(|(_, since)| now >= since.after(Duration::from_millis(HOLD_MILLIS))) {
                one.answer(Say::Wait { missing, gives_up_in_ms: None }, actions);
            }
        }
    }

    /// Takes texts back from clients that are lost, or that may not have received them.
    fn take_back(&mut self, now: Time) {
        let is_gone = |member: &Member| member.peer.gone.is_some_and(|gone| now >= gone.after(GONE));
        for one in &mut self.posts.under_way {
            let Some((slot, since)) = one.at else { continue };
            let client = self.members.values().find(|member| member.seat.slot == slot);
            if client.is_none_or(is_gone) {
                one.is_lost_with(slot);
            } else if now >= since.after(HAND_AGAIN) {
                one.is_due = true;
            }
        }
    }

    /// Hands each text to a client whose request waits: the one that has it, or the one with the fewest texts. A client
    /// that was lost and came back may not have received it: it is given the text again, too.
    fn hand_out(&mut self, now: Time, actions: &mut Actions) {
        let mut counts: BTreeMap<u16, usize> = BTreeMap::new();
        for (slot, _) in self.posts.under_way.iter().filter_map(|one| one.at) {
            *counts.entry(slot).or_default() += 1;
        }
        let mut handed: BTreeMap<u16, Vec<Post>> = BTreeMap::new();
        for one in self.posts.under_way.iter_mut().filter(|one| one.at.is_none() || one.is_due) {
            let takers: Vec<u16> = self
                .members
                .values()
                .filter(|client| {
                    client.is_client() && client.posts == Some(true) && client.peer.held.is_some()
                })
                .map(|client| client.seat.slot)
                .filter(|slot| !one.declined.contains(slot))
                .filter(|slot| handed.get(slot).is_none_or(|posts| posts.len() < MAX_HANDED))
                .collect();
            for slot in takers.iter().filter(|slot| one.is_due && one.post.lost.contains(slot)) {
                let mut post = one.post.clone();
                post.lost.retain(|lost| lost != slot);
                handed.entry(*slot).or_default().push(post);
            }
            let may_have_it = |slot: &u16| match one.at {
                Some((at, _)) => at == *slot,
                None => !one.post.lost.contains(slot),
            };
            let takers = takers.into_iter().filter(may_have_it);
            let Some(slot) = takers.min_by_key(|slot| counts.get(slot).copied().unwrap_or(0)) else {
                continue;
            };
            (one.at, one.is_due) = (Some((slot, now)), false);
            *counts.entry(slot).or_default() += 1;
            handed.entry(slot).or_default().push(one.post.clone());
            // From now on this client may have multicast it.
            one.post.again = true;
        }
        for member in self.members.values_mut() {
            if let Some(posts) = handed.remove(&member.seat.slot) {
                member.peer.answer(Say::Posts { posts }, actions);
            }
        }
    }

    /// Refuses texts that no client has taken, once all have finished for a while.
    fn refuse_without_clients(&mut self, now: Time, actions: &mut Actions) {
        let takers: Vec<u16> = self
            .clients()
            .filter(|client| client.posts == Some(true))
            .map(|client| client.seat.slot)
            .collect();
        let why = format!("no client of group {} multicasts it: all have finished, or came late", self.name);
        self.posts.under_way.retain_mut(|one| {
            let is_open = one.at.is_some() || takers.iter().any(|slot| !one.declined.contains(slot));
            if is_open {
                one.nobody_since = None;
                return true;
            }
            let is_kept = now < one.nobody_since.get_or_insert(now).after(NOBODY);
            if !is_kept {
                one.answer(refused(&Failure::new(Exit::Unavailable, &*why)), actions);
            }
            is_kept
        });
    }

    /// Returns what a text waits for, for people.
    fn waits_for(&self, one: &UnderWay) -> Vec<String> {
        if let Phase::Gathering(_) = self.phase {
            return vec![format!("group {} to start, which waits for {}", self.name, list(&self.missing()))];
        }
        let client =
            one.at.and_then(|(slot, _)| self.members.values().find(|member| member.seat.slot == slot));
        vec![client.map_or_else(
            || format!("a client of group {} that multicasts it", self.name),
            |client| format!("{} to deliver it", client.seat.id),
        )]
    }
}
