//! The WebSocket of a client: events go out, nothing comes in.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::QueryRejection;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::extract::{Query, State};
use axum::http::{HeaderMap, header};
use axum::response::Response;
use serde::Deserialize;
use tokio::sync::mpsc::Receiver;

use super::desk::Refusal;
use super::shared::{Shared, refused, unreadable_query};

/// Most bytes of a message that a client sends.
const MOST_MESSAGE: usize = 4 << 10;
/// The time between two pings.
const PING_EVERY: Duration = Duration::from_secs(20);
/// The time after which a client that takes nothing, or answers no ping, is gone.
const PATIENCE: Duration = Duration::from_secs(30);
/// The code of a close: the client has not read, and comes again with its cursor.
const BEHIND: u16 = 4000;
/// The code of a close: the server ends.
const AWAY: u16 = 1001;

/// The events that a client asks for.
#[derive(Deserialize)]
pub(super) struct Wanted {
    group: Option<String>,
    #[serde(default)]
    after: u64,
    #[serde(default)]
    seen: String,
    session: Option<String>,
}

pub(super) async fn open(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    wanted: Result<Query<Wanted>, QueryRejection>,
    upgrade: Result<WebSocketUpgrade, axum::extract::ws::rejection::WebSocketUpgradeRejection>,
) -> Response {
    let wanted = match wanted {
        Ok(Query(wanted)) => wanted,
        Err(rejection) => return refused(&unreadable_query(&rejection)),
    };
    let Ok(upgrade) = upgrade else {
        return refused(&Refusal::new(400, "this is the address of a WebSocket"));
    };
    if !is_ours(&headers, &shared) {
        return refused(&Refusal::new(403, "this origin is none of the cluster's"));
    }
    let lacks = match shared.desk.catch_up(&wanted.seen).await {
        Ok(lacks) => lacks,
        Err(refusal) => return refused(&refusal),
    };
    upgrade.max_message_size(MOST_MESSAGE).max_frame_size(MOST_MESSAGE).on_upgrade(move |socket| async move {
        let events = shared.desk.subscribe(wanted.group, wanted.after, wanted.session, lacks);
        match events {
            Ok(events) => serve(socket, events, &shared).await,
            Err(refusal) => close(socket, 1013, &refusal.why).await,
        }
    })
}

/// Returns whether a request comes from a program, which names no origin, from this server's own page, or from that of
/// another server of the cluster.
fn is_ours(headers: &HeaderMap, shared: &Shared) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    let Ok(origin) = origin.to_str() else { return false };
    let own =
        headers.get(header::HOST).and_then(|host| host.to_str().ok()).map(|host| format!("http://{host}"));
    own.as_deref() == Some(origin) || shared.origins.iter().any(|known| known == origin)
}

/// Sends events until the client goes, is behind, or the server ends.
async fn serve(mut socket: WebSocket, mut events: Receiver<Utf8Bytes>, shared: &Shared) {
    let mut ends = shared.ends.clone();
    let mut ping = tokio::time::interval(PING_EVERY);
    let mut heard = tokio::time::Instant::now();
    loop {
        tokio::select! {
            event = events.recv() => match event {
                Some(event) => {
                    if !send(&mut socket, Message::Text(event)).await {
                        return close(socket, BEHIND, "behind").await;
                    }
                }
                None if *ends.borrow() => return close(socket, AWAY, "the server ends").await,
                None => return close(socket, BEHIND, "behind").await,
            },
            message = socket.recv() => match message {
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                Some(Ok(_)) => heard = tokio::time::Instant::now(),
            },
            _ = ping.tick() => {
                let is_gone = heard.elapsed() >= PATIENCE;
                if is_gone || !send(&mut socket, Message::Ping(Vec::new().into())).await {
                    return;
                }
            }
            _ = ends.changed() => return close(socket, AWAY, "the server ends").await,
        }
    }
}

/// Returns whether the client took a message in time.
async fn send(socket: &mut WebSocket, message: Message) -> bool {
    matches!(tokio::time::timeout(PATIENCE, socket.send(message)).await, Ok(Ok(())))
}

/// Closes the connection when the client has answered: with anything unread, the system would reset it, and the client would
/// lose what is under way.
async fn close(mut socket: WebSocket, code: u16, reason: &str) {
    let frame = CloseFrame { code, reason: Utf8Bytes::from(reason) };
    let whole = async {
        if socket.send(Message::Close(Some(frame))).await.is_ok() {
            while let Some(Ok(_)) = socket.recv().await {}
        }
    };
    // A client that is gone answers nothing.
    let _ = tokio::time::timeout(PATIENCE, whole).await;
}
