//! The feed: events for the clients that are connected, each in a bounded queue of its own.
//!
//! A client gets a beginning, everything above its cursor, and then each change. One that does not read loses its place
//! when its queue is full: it comes again with its cursor.

use std::collections::BTreeSet;

use axum::extract::ws::Utf8Bytes;
use serde_json::{Value, json};
use tokio::sync::mpsc::Sender;

use super::desk::Subscription;
use super::view::View;
use crate::chat::place::OperationId;
use crate::chat::state::{Change, State};
use crate::chat::view::{GroupView, Item, Part};

/// Posts in one event of a beginning.
const CHUNK: usize = 200;
/// Most posts in the beginning of a client that has none.
const MOST_ITEMS: usize = 100_000;

/// A client that receives events.
#[derive(Debug)]
struct Client {
    group: Option<String>,
    session: Option<String>,
    events: Sender<Utf8Bytes>,
    is_behind: bool,
}

impl Client {
    /// Sends an event. After one that was lost, nothing more is sent: the client's cursor must not pass it.
    fn send(&mut self, event: Utf8Bytes) {
        self.is_behind = self.is_behind || self.events.try_send(event).is_err();
    }

    /// Sends posts in chunks, at least one.
    fn send_items(&mut self, items: &[Item]) {
        let chunks = items.len().div_ceil(CHUNK).max(1);
        for chunk in 0..chunks {
            let part = &items[chunk * CHUNK..items.len().min((chunk + 1) * CHUNK)];
            self.send(event("items", &json!({"items": part, "last": chunk + 1 == chunks})));
        }
    }
}

/// Returns the posts of a group above a number; of too many, the last ones.
fn beginning(state: &State, group: &str, after: u64) -> Vec<Item> {
    let (items, more) = state.history(group, Part::After(after), MOST_ITEMS);
    if more { state.history(group, Part::Last, MOST_ITEMS).0 } else { items }
}

/// The clients of a server.
#[derive(Debug, Default)]
pub(super) struct Feed {
    clients: Vec<Client>,
    /// The groups that have changed since clients were told of groups.
    changed: BTreeSet<String>,
    /// The number above which clients are not told of posts any more: too many came at once, and clients load them again.
    stale_above: Option<u64>,
}

impl Feed {
    /// Returns the number of clients.
    pub(super) const fn len(&self) -> usize {
        self.clients.len()
    }

    /// Takes a client in: it gets its beginning.
    pub(super) fn begin(&mut self, asked: Subscription, state: &State, view: &View, groups: &[GroupView]) {
        let Subscription { group, after, session, lacks, events } = asked;
        let mut client = Client { group, session, events, is_behind: false };
        let mut hello = json!(view);
        hello["lacks"] = json!(lacks);
        client.send(event("hello", &hello));
        if let Some(group) = client.group.clone() {
            client.send_items(&beginning(state, &group, after));
        }
        client.send(event("groups", &json!({ "groups": groups })));
        client.send(event("view", view));
        self.clients.push(client);
    }

    fn has_client_of(&self, group: &str) -> bool {
        self.clients.iter().any(|client| client.group.as_deref() == Some(group))
    }

    /// Returns whether a client is to be told of the posts of a group.
    fn is_followed(&self, group: &str) -> bool {
        self.stale_above.is_none() && self.has_client_of(group)
    }

    /// Tells of a change that has just happened.
    pub(super) fn tell(&mut self, change: &Change, state: &State) {
        match change {
            Change::Posted(group, id) if self.is_followed(group) => {
                let before = state.next(*id).map(|id| state.written(id));
                let is_late = before.is_some();
                let item = state.item(*id);
                self.send(group, &event("item", &json!({"item": item, "before": before, "late": is_late})));
            }
            Change::Gone(group, id) if self.is_followed(group) => {
                let now = state.shown_as(*id).map(|id| state.written(id));
                self.send(group, &event("gone", &json!({"id": state.written(*id), "now": now})));
            }
            Change::Liked(group, id) if self.has_client_of(group) => {
                let likes = state.item(*id).map(|item| item.likes);
                self.send(group, &event("likes", &json!({"id": state.written(*id), "likes": likes})));
            }
            _ => {}
        }
        if let Change::Posted(group, _)
        | Change::Gone(group, _)
        | Change::Group(group)
        | Change::Read(_, group) = change
        {
            self.changed.insert(group.clone());
        }
    }

    /// Notes that every group may have changed.
    pub(super) fn note_all(&mut self, state: &State) {
        self.changed.extend(state.group_names().map(str::to_owned));
    }

    /// Tells of the numbers that posts have now.
    pub(super) fn tell_numbers(&mut self, numbered: &[(String, OperationId, u64)], state: &State) {
        let groups: BTreeSet<&str> = numbered.iter().map(|(group, ..)| group.as_str()).collect();
        for group in groups {
            if self.is_followed(group) {
                let of_group = numbered.iter().filter(|(other, ..)| other == group);
                let items: Vec<Value> = of_group
                    .map(|(_, id, number)| json!({"id": state.written(*id), "number": number}))
                    .collect();
                self.send(group, &event("numbers", &json!({ "items": items })));
            }
            self.changed.insert(group.to_owned());
        }
    }

    /// Tells clients of no more posts above a number, until they load all of them again.
    pub(super) fn let_go_above(&mut self, number: u64) {
        self.stale_above = Some(self.stale_above.map_or(number, |stale| stale.min(number)));
    }

    /// Lets clients load all above the number from which they were not told of posts, if there is one.
    pub(super) fn load_again(&mut self, state: &State) {
        let Some(after) = self.stale_above.take() else { return };
        let reset = event("reset", &json!({ "after": after }));
        let groups: BTreeSet<String> =
            self.clients.iter().filter_map(|client| client.group.clone()).collect();
        for group in groups {
            let items = beginning(state, &group, after);
            for client in self.clients.iter_mut().filter(|client| client.group.as_ref() == Some(&group)) {
                client.send(reset.clone());
                client.send_items(&items);
            }
        }
    }

    /// Tells of the groups that have changed; `view` returns a group as the user of a session sees it.
    pub(super) fn tell_groups(&mut self, view: impl Fn(&str, Option<&str>) -> Option<GroupView>) {
        let changed = std::mem::take(&mut self.changed);
        if changed.is_empty() || self.clients.is_empty() {
            return;
        }
        let of = |session: Option<&str>| {
            let groups: Vec<GroupView> = changed.iter().filter_map(|group| view(group, session)).collect();
            event("groups", &json!({ "groups": groups }))
        };
        let of_nobody = of(None);
        for client in &mut self.clients {
            let groups =
                client.session.as_deref().map_or_else(|| of_nobody.clone(), |session| of(Some(session)));
            client.send(groups);
        }
    }

    /// Tells of a new view.
    pub(super) fn tell_view(&mut self, view: &View) {
        let view = event("view", view);
        self.clients.iter_mut().for_each(|client| client.send(view.clone()));
    }

    /// Lets go of the clients that are gone or behind.
    pub(super) fn tidy(&mut self) {
        self.clients.retain(|client| !client.is_behind && !client.events.is_closed());
    }

    /// Returns the sessions of the clients.
    pub(super) fn sessions(&self) -> impl Iterator<Item = &str> {
        self.clients.iter().filter_map(|client| client.session.as_deref())
    }

    fn send(&mut self, group: &str, event: &Utf8Bytes) {
        for client in self.clients.iter_mut().filter(|client| client.group.as_deref() == Some(group)) {
            client.send(event.clone());
        }
    }
}

/// Returns an event: the fields of `content`, and its name.
fn event(name: &str, content: &impl serde::Serialize) -> Utf8Bytes {
    let mut fields = json!({ "event": name });
    if let (Value::Object(fields), Value::Object(content)) = (&mut fields, json!(content)) {
        fields.extend(content);
    }
    fields.to_string().into()
}
