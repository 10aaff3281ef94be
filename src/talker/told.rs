//! Posts, groups, views and events, as servers tell them in JSON.

use serde::Deserialize;

/// A post.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Item {
    pub(super) id: String,
    /// Its number in the confirmed order; none while it is tentative.
    pub(super) number: Option<u64>,
    pub(super) user: String,
    pub(super) text: String,
    #[serde(default)]
    pub(super) likes: Vec<String>,
    #[serde(default)]
    pub(super) time_ms: u64,
    /// The key of the client that sent it, and its number there.
    pub(super) client: Option<String>,
    #[serde(default)]
    pub(super) n: u64,
}

/// A part of a history.
#[derive(Debug, Deserialize)]
pub(super) struct History {
    pub(super) items: Vec<Item>,
    pub(super) more: bool,
}

/// The servers of a cluster, as one of them sees it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct View {
    pub(super) server: String,
    pub(super) cluster: String,
    pub(super) epoch: u64,
    pub(super) confirmed: u64,
    pub(super) tentative: u64,
    pub(super) waits_for: Vec<String>,
    pub(super) servers: Vec<Listed>,
}

/// A server in a view.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Listed {
    pub(super) id: String,
    pub(super) web: Option<String>,
    pub(super) reachable: bool,
    pub(super) heard_ms: Option<u64>,
}

/// A group.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Group {
    pub(super) group: String,
    pub(super) users: Vec<String>,
    pub(super) unreachable: Vec<String>,
    pub(super) posts: u64,
    pub(super) unread: Option<u64>,
    pub(super) joined: Option<bool>,
    pub(super) notice: Option<String>,
}

/// All groups.
#[derive(Debug, Deserialize)]
pub(super) struct Groups {
    pub(super) groups: Vec<Group>,
}

/// A post that has a number now.
#[derive(Debug, Deserialize)]
pub(super) struct Numbered {
    pub(super) id: String,
    pub(super) number: u64,
}

/// An event of a socket.
#[derive(Debug, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub(super) enum Event {
    /// The first one. The server lacks so many of the multicasts that the client has seen.
    Hello {
        #[serde(default)]
        lacks: u64,
    },
    /// A part of everything above the cursor.
    Items { items: Vec<Item>, last: bool },
    /// A new post, directly above the one with the id `before`.
    Item { item: Item, before: Option<String> },
    /// Posts that are confirmed now.
    Numbers { items: Vec<Numbered> },
    /// The users who like a post now.
    Likes { id: String, likes: Option<Vec<String>> },
    /// A post that is not there any more, or has another id now.
    Gone { id: String, now: Option<String> },
    /// Groups that have changed.
    Groups { groups: Vec<Group> },
    /// The servers.
    View(View),
    /// Everything above this number comes again.
    Reset { after: u64 },
    /// Of a later version.
    #[serde(other)]
    Other,
}
