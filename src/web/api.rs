//! The API: requests in JSON, answered by the member's thread.

use std::error::Error as _;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::Router;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, Query, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::desk::{Answer, Command, ENDS, Question, Refusal};
use super::page::host_of;
use super::shared::{Shared, refused, unreadable_query};
use super::socket;
use crate::chat::operation::MOST_POSTS;
use crate::chat::view::Part;
use crate::talk::on_one_line;

/// Most bytes of a request's body.
const MOST_BODY: usize = 64 << 10;
/// Longest time of a request; a WebSocket is one until it is open.
const REQUEST_LIMIT: Duration = Duration::from_secs(30);
/// Posts in an answer if the client names no limit.
const USUAL_ITEMS: usize = 1000;
/// The most that it gets.
const MOST_ITEMS: usize = 10_000;
/// Returns the routes of a server.
pub(super) fn routes(shared: Shared) -> Router {
    let shared = Arc::new(shared);
    let origins = Arc::clone(&shared);
    let is_ours = move |origin: &HeaderValue, _: &_| {
        origin.to_str().is_ok_and(|origin| origins.origins.iter().any(|known| known == origin))
    };
    let cors = CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(is_ours))
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([header::CONTENT_TYPE])
        .max_age(Duration::from_secs(600));
    Router::new()
        .route("/", get(page))
        .route("/healthz", get(health))
        .route("/metrics", get(metrics))
        .route("/ws", get(socket::open))
        .route("/api/session", post(session))
        .route("/api/logout", post(logout))
        .route("/api/join", post(join))
        .route("/api/leave", post(leave))
        .route("/api/post", post(post_text))
        .route("/api/posts", post(post_texts))
        .route("/api/like", post(like))
        .route("/api/read", post(read))
        .route("/api/history", get(history))
        .route("/api/groups", get(groups))
        .route("/api/view", get(view))
        .route("/api/operations", get(operations))
        .fallback(|| async { refused(&Refusal::new(404, "there is nothing here: see docs/CHAT.md")) })
        .method_not_allowed_fallback(|| async {
            refused(&Refusal::new(405, "cannot use this method here: see docs/CHAT.md"))
        })
        .layer(DefaultBodyLimit::max(MOST_BODY))
        .layer(middleware::from_fn_with_state(Arc::clone(&shared), to_known_host))
        .layer(middleware::from_fn(within_limit))
        .layer(cors)
        .with_state(shared)
}

/// Refuses a request to a name that is none of the servers'. Otherwise a page from elsewhere could give its own name the
/// address of this server, and a browser would let it read everything (DNS rebinding).
async fn to_known_host(State(shared): Asked, request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).map(|host| host.to_str().unwrap_or_default());
    // Only programs send none.
    let is_known = host.is_none_or(|host| is_known_host(host, &shared.hosts));
    if is_known {
        return next.run(request).await;
    }
    let host = on_one_line(host.unwrap_or_default().as_bytes());
    let why =
        format!("cannot answer for {host}: it is no address and no name in the cluster file or in --web");
    refused(&Refusal::new(403, why))
}

/// Returns whether a host is an address, this machine, or named in the cluster file.
fn is_known_host(host: &str, names: &[String]) -> bool {
    let name = host_of(host);
    let address = name.trim_start_matches('[').trim_end_matches(']');
    address.parse::<IpAddr>().is_ok()
        || name.eq_ignore_ascii_case("localhost")
        || names.iter().any(|known| !name.is_empty() && known.eq_ignore_ascii_case(name))
}

/// Ends a request whose body does not come, or whose answer does not.
async fn within_limit(request: Request, next: Next) -> Response {
    let answered = tokio::time::timeout(REQUEST_LIMIT, next.run(request)).await;
    answered.unwrap_or_else(|_| refused(&Refusal::new(408, "the request took too long")))
}

type Asked = State<Arc<Shared>>;
type Body = Result<Json<Value>, JsonRejection>;
type Asking<T> = Result<Query<T>, QueryRejection>;

#[derive(Deserialize)]
struct NewSession {
    user: String,
    #[serde(default)]
    client: String,
}

async fn session(State(shared): Asked, body: Body) -> Response {
    command(&shared, body, |NewSession { user, client }| Command::Session { user, client }).await
}

async fn logout(State(shared): Asked, body: Body) -> Response {
    command(&shared, body, Command::Logout).await
}

async fn join(State(shared): Asked, body: Body) -> Response {
    command(&shared, body, Command::Join).await
}

async fn leave(State(shared): Asked, body: Body) -> Response {
    command(&shared, body, Command::Leave).await
}

#[derive(Deserialize)]
struct NewPost {
    session: String,
    group: String,
    n: u64,
    text: String,
}

async fn post_text(State(shared): Asked, body: Body) -> Response {
    let command_of = |NewPost { session, group, n, text }| Command::Post { session, group, n, text };
    command(&shared, body, command_of).await
}

/// Posts of one client, in its order.
#[derive(Deserialize)]
struct NewPosts {
    session: String,
    group: String,
    posts: Vec<Numbered>,
}

#[derive(Deserialize)]
struct Numbered {
    n: u64,
    text: String,
}

async fn post_texts(State(shared): Asked, body: Body) -> Response {
    let NewPosts { session, group, posts } = match body_of_command(&shared, body) {
        Ok(body) => body,
        Err(refusal) => return refused(&refusal),
    };
    if posts.is_empty() || posts.len() > MOST_POSTS {
        let why = format!("cannot take {} posts at once: a request has 1 to {MOST_POSTS}", posts.len());
        return refused(&Refusal::new(400, why));
    }
    let command = |Numbered { n, text }| {
        let (session, group) = (session.clone(), group.clone());
        Command::Post { session, group, n, text }
    };
    let answers = shared.desk.commands(posts.into_iter().map(command).collect()).await;
    answered(answers.map(|answers| format!("{{\"posts\":[{}]}}", answers.join(","))))
}

#[derive(Deserialize)]
struct Liking {
    session: String,
    id: String,
    on: bool,
}

async fn like(State(shared): Asked, body: Body) -> Response {
    command(&shared, body, |Liking { session, id, on }| Command::Like { session, id, on }).await
}

#[derive(Deserialize)]
struct Reading {
    session: String,
    group: String,
    number: u64,
}

async fn read(State(shared): Asked, body: Body) -> Response {
    let command_of = |Reading { session, group, number }| Command::Read { session, group, number };
    command(&shared, body, command_of).await
}

/// The part of a history that a request names.
#[derive(Deserialize)]
struct Range {
    group: String,
    after: Option<u64>,
    before: Option<u64>,
    limit: Option<usize>,
    #[serde(default)]
    seen: String,
}

async fn history(State(shared): Asked, range: Asking<Range>) -> Response {
    let Range { group, after, before, limit, seen } = match range {
        Ok(Query(range)) => range,
        Err(rejection) => return refused(&unreadable_query(&rejection)),
    };
    let part = match (after, before) {
        (Some(_), Some(_)) => return refused(&Refusal::new(400, "name after or before, not both")),
        (Some(after), None) => Part::After(after),
        (None, Some(before)) => Part::Before(before),
        (None, None) => Part::Last,
    };
    let limit = limit.unwrap_or(USUAL_ITEMS).min(MOST_ITEMS);
    let lacks = match shared.desk.catch_up(&seen).await {
        Ok(lacks) => lacks,
        Err(refusal) => return refused(&refusal),
    };
    answered(shared.desk.ask(Question::History { group, part, limit, lacks }).await)
}

#[derive(Deserialize)]
struct OfUser {
    session: Option<String>,
}

async fn groups(State(shared): Asked, asked: Asking<OfUser>) -> Response {
    let session = asked.ok().and_then(|Query(asked)| asked.session);
    answered(shared.desk.ask(Question::Groups { session }).await)
}

async fn view(State(shared): Asked) -> Response {
    answered(shared.desk.ask(Question::View).await)
}

/// The byte of all confirmed operations from which a server that was added asks for them.
#[derive(Deserialize)]
struct Beginning {
    from: u64,
}

async fn operations(State(shared): Asked, beginning: Asking<Beginning>) -> Response {
    let Beginning { from } = match beginning {
        Ok(Query(beginning)) => beginning,
        Err(rejection) => return refused(&unreadable_query(&rejection)),
    };
    // Not on the thread that serves all others.
    let page = tokio::task::spawn_blocking(move || shared.files.page(from)).await;
    match page.map_err(std::io::Error::other).flatten() {
        Ok(page) => ([(header::CONTENT_TYPE, "application/octet-stream")], page).into_response(),
        Err(error) => refused(&Refusal::new(503, format!("cannot read the operations: {error}"))),
    }
}

async fn health(State(shared): Asked) -> Response {
    answered(shared.desk.ask(Question::Health).await)
}

async fn metrics(State(shared): Asked) -> Response {
    match shared.desk.ask(Question::Metrics).await {
        Ok(text) => ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response(),
        Err(refusal) => refused(&refusal),
    }
}

async fn page(State(shared): Asked) -> Response {
    shared.page.response()
}

/// Answers a request with the command of its body.
async fn command<T: DeserializeOwned>(
    shared: &Shared,
    body: Body,
    command_of: impl FnOnce(T) -> Command,
) -> Response {
    match body_of_command(shared, body) {
        Ok(body) => answered(shared.desk.command(command_of(body)).await),
        Err(refusal) => refused(&refusal),
    }
}

/// Reads the body of a command, unless the server takes none any more.
fn body_of_command<T: DeserializeOwned>(shared: &Shared, body: Body) -> Result<T, Refusal> {
    let body = read_body(body)?;
    if *shared.ends.borrow() { Err(Refusal::new(503, ENDS)) } else { Ok(body) }
}

/// Reads the fields of a body.
fn read_body<T: DeserializeOwned>(body: Body) -> Result<T, Refusal> {
    let fields = match body {
        Ok(Json(fields @ Value::Object(_))) => fields,
        Ok(_) => return Err(Refusal::new(400, "cannot read the body: it is no JSON object")),
        Err(JsonRejection::MissingJsonContentType(_)) => {
            let why = "cannot read the body: the header Content-Type is not application/json";
            return Err(Refusal::new(415, why));
        }
        Err(JsonRejection::JsonSyntaxError(error)) => {
            let cause = error.source().map(ToString::to_string).unwrap_or_default();
            return Err(Refusal::new(400, format!("cannot read the body: it is no JSON: {cause}")));
        }
        Err(rejection) => {
            let why = match rejection.status() {
                StatusCode::PAYLOAD_TOO_LARGE => {
                    format!("cannot read the body: it is longer than {MOST_BODY} bytes")
                }
                _ => format!("cannot read the body: {}", rejection.body_text()),
            };
            return Err(Refusal::new(rejection.status().as_u16(), why));
        }
    };
    serde_json::from_value(fields)
        .map_err(|error| Refusal::new(400, format!("cannot read the body: {error}")))
}

fn answered(answer: Answer) -> Response {
    match answer {
        Ok(body) => ([(header::CONTENT_TYPE, "application/json")], body).into_response(),
        Err(refusal) => refused(&refusal),
    }
}
