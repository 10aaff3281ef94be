//! The replicated chat through its API: real servers, parted, killed and healed.

use std::io::Write as _;
use std::net::TcpStream;
use std::time::Duration;

use groupcast::prng::Prng;
use rustix::process::Signal;
use serde_json::{Value, json};
use tungstenite::stream::MaybeTlsStream;
use tungstenite::{Message, WebSocket};

use crate::harness::{Launch, Program, Stage, pause, side_by_side, until};

/// Chat servers on this machine.
pub(super) struct Chat {
    pub(super) stage: Stage,
    up: Program,
    /// The address of each server.
    pub(super) urls: Vec<String>,
    agent: ureq::Agent,
}

impl Chat {
    pub(super) fn up(servers: usize) -> Self {
        let stage = Stage::new();
        let mut up =
            stage.bare("groupcast").args(["cluster", "up", "c", "--servers", &servers.to_string()]).start();
        let urls = until("all servers answer", || {
            assert!(up.is_running(), "{}", up.stderr());
            let printed = up.stdout();
            let urls: Vec<String> =
                printed.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect();
            (urls.len() == servers).then_some(urls)
        });
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(60)))
            .build();
        Self { stage, up, urls, agent: config.into() }
    }

    /// `groupcast cluster` with these words, the folder of the cluster after the first.
    pub(super) fn cluster(&self, words: &[&str]) {
        let launch: Launch<'_> = self.stage.bare("groupcast");
        launch.args(["cluster", words[0], "c"]).args(&words[1..]).ends(0);
    }

    pub(super) fn post(&self, server: usize, path: &str, body: &Value) -> (u16, Value) {
        let sent = self.agent.post(format!("{}{path}", self.urls[server])).send_json(body);
        let mut response = sent.expect("the server answers");
        (response.status().as_u16(), response.body_mut().read_json().expect("an answer in JSON"))
    }

    pub(super) fn get(&self, server: usize, path: &str) -> (u16, Value) {
        let mut response =
            self.agent.get(format!("{}{path}", self.urls[server])).call().expect("the server answers");
        (response.status().as_u16(), response.body_mut().read_json().expect("an answer in JSON"))
    }

    fn done(&self, server: usize, path: &str, body: &Value) -> Value {
        let (status, answer) = self.post(server, path, body);
        assert_eq!(status, 200, "{path} {body}: {answer}");
        answer
    }

    /// A session of a user who is in a group.
    pub(super) fn user(&self, server: usize, user: &str, group: &str) -> String {
        let session = self.done(server, "/api/session", &json!({"user": user}))["session"].clone();
        self.done(server, "/api/join", &json!({"session": session, "group": group}));
        session.as_str().unwrap().to_owned()
    }

    pub(super) fn say(&self, server: usize, session: &str, n: u64, text: &str) -> String {
        let body = json!({"session": session, "group": "tea", "n": n, "text": text});
        self.done(server, "/api/post", &body)["id"].as_str().unwrap().to_owned()
    }

    pub(super) fn like(&self, server: usize, session: &str, id: &str, on: bool) {
        self.done(server, "/api/like", &json!({"session": session, "id": id, "on": on}));
    }

    pub(super) fn history(&self, server: usize, group: &str) -> Vec<Value> {
        let (status, mut answer) = self.get(server, &format!("/api/history?group={group}&limit=10000"));
        assert_eq!(status, 200, "{answer}");
        let Value::Array(items) = answer["items"].take() else { panic!("no items") };
        items
    }

    /// The bytes of a server's journal.
    pub(super) fn journal_bytes(&self, server: usize) -> u64 {
        let mut response = self.agent.get(format!("{}/metrics", self.urls[server])).call().expect("metrics");
        let text = response.body_mut().read_to_string().unwrap();
        let mut lines = text.lines();
        lines
            .find_map(|line| line.strip_prefix("groupcast_chat_journal_bytes ")?.parse().ok())
            .expect("bytes")
    }

    /// Waits until all servers have the same history, with a number for each post.
    pub(super) fn agreed(&self, group: &str, count: usize) -> Vec<Value> {
        until("one history, all confirmed", || {
            let first = self.history(0, group);
            let is_final = first.len() == count && first.iter().all(|item| item["number"].is_u64());
            let agree = (1..self.urls.len()).all(|server| self.history(server, group) == first);
            (is_final && agree).then_some(first)
        })
    }

    /// Waits until a server answers that it is well.
    pub(super) fn is_well(&self, server: usize) {
        until("the server is well", || {
            let answer = self.agent.get(format!("{}/healthz", self.urls[server])).call();
            answer.is_ok_and(|answer| answer.status() == 200).then_some(())
        });
    }

    /// Ends the servers when there is nothing to do, and lets the checker judge what they wrote.
    pub(super) fn ends_well(mut self) {
        until("everything is final everywhere", || {
            let views: Vec<Value> = (0..self.urls.len()).map(|at| self.get(at, "/api/view").1).collect();
            let is_final =
                |view: &Value| view["tentative"] == 0 && view["confirmed"] == views[0]["confirmed"];
            views.iter().all(is_final).then_some(())
        });
        self.up.signal(Signal::INT);
        self.up.ends(0);
        let (verdict, _) = self.stage.bare("groupcast").args(["check", "c/results"]).ends(0);
        assert!(verdict.contains("PASS"), "{verdict}");
    }

    fn socket(&self, server: usize, query: &str) -> Socket {
        let address = format!("{}/ws?{query}", self.urls[server].replace("http", "ws"));
        let (socket, _) = tungstenite::connect(address).expect("a WebSocket");
        if let MaybeTlsStream::Plain(stream) = socket.get_ref() {
            stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        }
        Socket(socket)
    }
}

/// The events of a server.
struct Socket(WebSocket<MaybeTlsStream<TcpStream>>);

impl Socket {
    /// The next event with this name; others are passed over.
    fn next(&mut self, name: &str) -> Value {
        loop {
            let Message::Text(text) = self.0.read().expect("an event") else { continue };
            let event: Value = serde_json::from_str(&text).unwrap();
            if event["event"] == name {
                return event;
            }
        }
    }
}

fn texts(items: &[Value]) -> Vec<&str> {
    items.iter().map(|item| item["text"].as_str().unwrap()).collect()
}

#[test]
fn chat_parted_sides_go_on_and_have_one_history_after_the_heal() {
    let chat = Chat::up(3);
    let (ann, eve) = (chat.user(0, "ann", "tea"), chat.user(2, "eve", "tea"));
    let hello = chat.say(0, &ann, 1, "hello");
    chat.agreed("tea", 1);
    chat.cluster(&["part", "s1/s2,s3"]);
    // The faults act within half a second.
    pause(Duration::from_millis(700));
    let bob = chat.user(1, "bob", "tea");
    for n in 0..10 {
        chat.say(0, &ann, 10 + n, &format!("here {n}"));
        chat.say(1, &bob, n, &format!("there {n}"));
    }
    chat.like(0, &ann, &hello, true);
    chat.like(1, &bob, &hello, true);
    chat.like(2, &eve, &hello, true);
    chat.like(2, &eve, &hello, false);
    // Both sides make the same group.
    chat.done(0, "/api/join", &json!({"session": ann, "group": "news"}));
    chat.done(1, "/api/join", &json!({"session": bob, "group": "news"}));
    let (left, right) = (chat.history(0, "tea"), chat.history(1, "tea"));
    assert_eq!((left.len(), right.len()), (11, 11), "each side goes on");
    let tentative = |items: &[Value]| items.iter().filter(|item| item["number"].is_null()).count();
    assert_eq!((tentative(&left), tentative(&right)), (10, 10), "and nothing is final");
    let (_, view) = chat.get(0, "/api/view");
    assert!(view["tentative"].as_u64().unwrap() >= 10 && view["waits_for"] == json!(["s2", "s3"]), "{view}");

    chat.cluster(&["heal"]);
    let history = chat.agreed("tea", 21);
    assert_eq!(history[0]["likes"], json!(["ann", "bob"]));
    let mut sorted = texts(&history);
    sorted.sort_unstable();
    sorted.dedup();
    assert_eq!(sorted.len(), 21, "nothing is lost or doubled");
    let numbers: Vec<u64> = history.iter().map(|item| item["number"].as_u64().unwrap()).collect();
    assert!(numbers.is_sorted());
    let (_, groups) = chat.get(2, "/api/groups");
    let news = groups["groups"].as_array().unwrap().iter().find(|group| group["group"] == "news").unwrap();
    assert_eq!(news["users"], json!(["ann", "bob"]));
    assert!(news["notice"].as_str().unwrap().contains("independently"), "{news}");
    chat.ends_well();
}

#[test]
fn chat_server_killed_and_started_again_lacks_nothing() {
    let chat = Chat::up(3);
    let (ann, bob) = (chat.user(0, "ann", "tea"), chat.user(1, "bob", "tea"));
    for n in 0..30 {
        chat.say(0, &ann, n, &format!("before {n}"));
    }
    chat.cluster(&["kill", "s1"]);
    for n in 0..30 {
        chat.say(1, &bob, n, &format!("while it is away {n}"));
    }
    chat.cluster(&["start", "s1"]);
    chat.is_well(0);
    let (status, answer) =
        chat.post(0, "/api/post", &json!({"session": ann, "group": "tea", "n": 99, "text": "old session"}));
    assert_eq!(status, 401, "{answer}");
    let ann = chat.user(0, "ann", "tea");
    chat.say(0, &ann, 30, "after");
    // A client that did not hear that its post was stored sends it again.
    let (again, id) = (chat.say(0, &ann, 7, "before 7"), &chat.history(0, "tea")[7]["id"]);
    assert_eq!(again, *id.as_str().unwrap());
    let history = chat.agreed("tea", 61);
    assert_eq!(texts(&history)[..2], ["before 0", "before 1"]);
    chat.ends_well();
}

#[test]
fn chat_user_who_joined_at_another_server_stays_when_the_first_starts_again() {
    let chat = Chat::up(2);
    chat.user(0, "ann", "tea");
    chat.agreed("tea", 0);
    chat.cluster(&["kill", "s1"]);
    let ann = chat.user(1, "ann", "tea");
    chat.cluster(&["start", "s1"]);
    chat.is_well(0);
    let confirmed = |at| chat.get(at, "/api/view").1["confirmed"].as_u64();
    until("the end of the first session is known", || (confirmed(1) == Some(5)).then_some(()));
    chat.say(1, &ann, 1, "still here");
    assert_eq!(chat.get(1, "/api/groups").1["groups"][0]["users"], json!(["ann"]));
    chat.agreed("tea", 1);
    chat.ends_well();
}

#[test]
fn chat_post_that_no_majority_has_goes_with_its_removed_server() {
    let chat = Chat::up(5);
    let (ann, bob) = (chat.user(0, "ann", "tea"), chat.user(1, "bob", "tea"));
    let eve = chat.user(2, "eve", "tea");
    chat.say(0, &ann, 1, "before");
    chat.agreed("tea", 1);
    chat.cluster(&["part", "s1,s3/s2,s4,s5"]);
    pause(Duration::from_millis(700));
    chat.say(2, &eve, 1, "for s1 alone");
    until("s1 has it", || (chat.history(0, "tea").len() == 2).then_some(()));
    chat.cluster(&["kill", "s3"]);
    let data = chat.stage.dir().join("c/data/s2");
    chat.stage.bare("groupcast").args(["cluster", "remove"]).arg(data).arg("s3").ends(0);
    chat.say(1, &bob, 1, "after");
    chat.cluster(&["heal"]);
    let alike = |count: usize| {
        until("the four have one history", || {
            let first = chat.history(0, "tea");
            let is_final = first.len() == count && first.iter().all(|item| item["number"].is_u64());
            let agree = [1, 3, 4].into_iter().all(|at| chat.history(at, "tea") == first);
            (is_final && agree).then_some(first)
        })
    };
    assert_eq!(texts(&alike(2)), ["before", "after"]);
    assert_eq!(
        chat.get(0, "/api/groups").1["groups"][0]["users"],
        json!(["ann", "bob"]),
        "eve's server is gone"
    );
    // The journal of s1 replays the withdrawn post, too.
    chat.cluster(&["kill", "s1"]);
    chat.cluster(&["start", "s1"]);
    chat.is_well(0);
    let ann = chat.user(0, "ann", "tea");
    chat.say(0, &ann, 2, "again");
    assert_eq!(texts(&alike(3)), ["before", "after", "again"]);
}

#[test]
fn chat_same_number_at_two_servers_is_one_post() {
    let chat = Chat::up(3);
    let (one, other) = (chat.user(0, "ann", "tea"), chat.user(2, "ann", "tea"));
    let id = chat.say(0, &one, 5, "hello");
    until("s3 has it", || (chat.history(2, "tea").len() == 1).then_some(()));
    assert_eq!(chat.say(2, &other, 5, "hello"), id);
    // The session of one server is good at another that knows of it.
    assert_eq!(chat.say(1, &one, 5, "hello"), id);
    chat.cluster(&["part", "s1/s2,s3"]);
    pause(Duration::from_millis(700));
    let (left, right) = (chat.say(0, &one, 6, "again"), chat.say(2, &other, 6, "again"));
    assert_ne!(left, right);
    // A like of either copy is one of the post.
    chat.like(0, &one, &left, true);
    let eve = chat.user(1, "eve", "tea");
    chat.like(1, &eve, &right, true);
    chat.cluster(&["heal"]);
    let history = chat.agreed("tea", 2);
    assert_eq!(texts(&history), ["hello", "again"]);
    assert_eq!(history[1]["likes"].as_array().unwrap().len(), 2, "{}", history[1]);
    chat.like(0, &one, &left, false);
    chat.like(2, &other, &right, false);
    chat.ends_well();
}

#[test]
fn chat_errors_have_a_status_and_a_sentence() {
    let chat = Chat::up(1);
    let session = chat.user(0, "ann", "tea");
    let long = "x".repeat(4001);
    let post =
        |group: &str, n: Value, text: &str| json!({"session": session, "group": group, "n": n, "text": text});
    for (path, body, wanted) in [
        ("/api/session", json!({}), 400),
        ("/api/session", json!({"user": ""}), 400),
        ("/api/session", json!({"user": "a\nb"}), 400),
        ("/api/session", json!({"user": "x".repeat(33)}), 400),
        ("/api/session", json!({"user": 7}), 400),
        ("/api/join", json!({"session": "none", "group": "tea"}), 401),
        ("/api/join", json!({"session": session, "group": " "}), 400),
        ("/api/leave", json!({"session": session, "group": "none"}), 404),
        ("/api/post", post("none", json!(1), "x"), 409),
        ("/api/post", post("tea", json!(-1), "x"), 400),
        ("/api/post", post("tea", json!(1.5), "x"), 400),
        ("/api/post", post("tea", json!(1), ""), 400),
        ("/api/post", post("tea", json!(1), &long), 400),
        ("/api/like", json!({"session": session, "id": "s1-999", "on": true}), 404),
        ("/api/like", json!({"session": session, "id": "nonsense", "on": true}), 404),
        ("/api/like", json!({"session": "none", "id": "s1-1", "on": true}), 401),
        ("/api/read", json!({"session": session, "group": "none", "number": 1}), 404),
        ("/api/post", json!({"text": "x".repeat(100_000)}), 413),
        ("/api/none", json!({}), 404),
        ("/api/view", json!({}), 405),
    ] {
        let (status, answer) = chat.post(0, path, &body);
        assert_eq!(status, wanted, "{path} {}: {answer}", body.to_string().get(..80).unwrap_or_default());
        assert!(answer["error"].as_str().is_some_and(|why| !why.is_empty()), "{path}: {answer}");
    }
    for (path, wanted) in [
        ("/api/history", 400),
        ("/api/history?group=", 400),
        ("/api/history?group=tea&after=x", 400),
        ("/api/history?group=tea&after=1&before=2", 400),
        ("/api/history?group=tea&seen=junk", 400),
        ("/ws", 400),
    ] {
        let (status, answer) = chat.get(0, path);
        assert_eq!(status, wanted, "{path}: {answer}");
        assert!(answer["error"].is_string(), "{path}: {answer}");
    }
    for body in ["[\"ann\"]", "{\"user\":", "7"] {
        let asked = chat
            .agent
            .post(format!("{}/api/session", chat.urls[0]))
            .header("Content-Type", "application/json");
        assert_eq!(asked.send(body).unwrap().status(), 400, "{body}");
    }
    let most = "s1-18446744073709551615";
    let (status, answer) = chat.get(0, &format!("/api/history?group=tea&seen={most},{most}"));
    assert_eq!((status, answer["lacks"].as_u64()), (200, Some(u64::MAX)), "{answer}");
    let plain = chat.agent.post(format!("{}/api/session", chat.urls[0])).send("{\"user\":\"ann\"}").unwrap();
    assert_eq!(plain.status(), 415);
    assert!(chat.history(0, "tea").is_empty());
}

#[test]
fn chat_posts_in_one_request_are_stored_in_their_order() {
    let chat = Chat::up(2);
    let ann = chat.user(0, "ann", "tea");
    let body = |posts: &[(u64, &str)]| {
        let posts: Vec<Value> = posts.iter().map(|(n, text)| json!({"n": n, "text": text})).collect();
        json!({"session": ann, "group": "tea", "posts": posts})
    };
    let many: Vec<(u64, String)> = (1..=256).map(|n| (n, format!("text {n}"))).collect();
    let many: Vec<(u64, &str)> = many.iter().map(|(n, text)| (*n, text.as_str())).collect();
    let ids = chat.done(0, "/api/posts", &body(&many));
    assert_eq!(ids["posts"].as_array().unwrap().len(), 256);
    let history = chat.agreed("tea", 256);
    assert_eq!(texts(&history), many.iter().map(|(_, text)| *text).collect::<Vec<_>>());
    assert_eq!(chat.done(0, "/api/posts", &body(&many)), ids, "the same numbers are the same posts");
    // Nothing is stored from a refused one on.
    let some = chat.done(0, "/api/posts", &body(&[(1, "again"), (300, "new"), (301, " "), (302, "lost")]));
    assert_eq!(some["posts"].as_array().unwrap()[0], ids["posts"][0]);
    assert_eq!(some["posts"].as_array().unwrap().len(), 2, "{some}");
    let (status, answer) = chat.post(0, "/api/posts", &body(&[(301, " "), (302, "lost")]));
    assert_eq!((status, &answer["error"]), (400, &json!("the text is empty")));
    for count in [0, 257] {
        let (status, answer) = chat.post(0, "/api/posts", &body(&vec![(999, "x"); count]));
        assert!(status == 400 && answer["error"].as_str().unwrap().contains("1 to 256"), "{answer}");
    }
    let history = chat.agreed("tea", 257);
    assert_eq!(history[256]["text"], "new");
    chat.ends_well();
}

#[test]
fn chat_join_and_leave_are_answered_by_an_empty_object() {
    let chat = Chat::up(1);
    let session = |user: &str| chat.done(0, "/api/session", &json!({"user": user}))["session"].clone();
    let (ann, bob) = (session("ann"), session("bob"));
    for (path, session) in [
        ("/api/join", &ann),
        ("/api/join", &ann),
        ("/api/leave", &bob),
        ("/api/join", &bob),
        ("/api/leave", &bob),
    ] {
        let answer = chat.done(0, path, &json!({"session": session, "group": "tea"}));
        assert_eq!(answer, json!({}), "{path} {session}");
    }
    chat.ends_well();
}

#[test]
fn chat_post_of_a_client_that_goes_is_kept() {
    let chat = Chat::up(1);
    let session = chat.user(0, "ann", "tea");
    let address = chat.urls[0].trim_start_matches("http://");
    for n in 0..20 {
        let body = json!({"session": session, "group": "tea", "n": n, "text": "kept"}).to_string();
        let head = format!(
            "POST /api/post HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(head.as_bytes()).unwrap();
        // The server has seen the head, and sees the body and the end of the client at once.
        pause(Duration::from_millis(2));
        stream.write_all(body.as_bytes()).unwrap();
    }
    until("the posts are there", || (chat.history(0, "tea").len() == 20).then_some(()));
}

#[test]
fn chat_servers_that_are_to_end_confirm_what_they_have() {
    let mut chat = Chat::up(3);
    let ann = chat.user(0, "ann", "tea");
    for n in 0..20 {
        chat.say(0, &ann, n, "last");
    }
    chat.up.signal(Signal::INT);
    chat.up.ends(0);
    let (verdict, _) = chat.stage.bare("groupcast").args(["check", "c/results"]).ends(0);
    assert!(verdict.contains("PASS"), "{verdict}");
}

#[test]
fn chat_request_to_an_unknown_name_is_refused() {
    let chat = Chat::up(1);
    let port = chat.urls[0].rsplit_once(':').unwrap().1;
    let status = |host: &str| {
        let asked = chat.agent.get(format!("{}/api/groups", chat.urls[0])).header("Host", host);
        asked.call().unwrap().status().as_u16()
    };
    for host in [
        format!("127.0.0.1:{port}"),
        format!("localhost:{port}"),
        format!("[::1]:{port}"),
        "LOCALHOST".into(),
    ] {
        assert_eq!(status(&host), 200, "{host}");
    }
    for host in [format!("elsewhere.example:{port}"), format!("127.0.0.1.example:{port}"), "local".into()] {
        assert_eq!(status(&host), 403, "{host}");
    }
}

#[test]
fn chat_socket_has_a_beginning_and_every_change() {
    let chat = Chat::up(3);
    let (ann, eve) = (chat.user(0, "ann", "tea"), chat.user(2, "eve", "tea"));
    let first = chat.say(0, &ann, 1, "first");
    let number = chat.agreed("tea", 1)[0]["number"].as_u64().unwrap();
    let mut socket = chat.socket(0, &format!("group=tea&after=0&session={ann}"));
    assert_eq!(socket.next("hello")["server"], "s1");
    let begin = socket.next("items");
    assert!(begin["items"][0]["id"] == *first && begin["last"] == true, "{begin}");
    let groups = socket.next("groups");
    assert!(groups["groups"][0]["users"] == json!(["ann", "eve"]), "{groups}");
    assert_eq!(groups["groups"][0]["unread"], 0, "one's own post is not unread");

    let second = chat.say(2, &eve, 1, "second");
    let item = socket.next("item");
    assert!(item["item"]["id"] == *second && item["late"] == false && item["before"].is_null(), "{item}");
    assert!(item["item"]["number"].is_null());
    assert_eq!(socket.next("numbers")["items"][0]["id"], *second);
    chat.like(2, &eve, &first, true);
    let likes = socket.next("likes");
    assert!(likes["id"] == *first && likes["likes"] == json!(["eve"]), "{likes}");

    // Above the cursor of one who comes again: what came since, and no more.
    let mut again = chat.socket(0, &format!("group=tea&after={number}"));
    let items = again.next("items");
    assert_eq!(items["items"].as_array().unwrap().len(), 1, "{items}");

    chat.cluster(&["part", "s1/s2,s3"]);
    pause(Duration::from_millis(700));
    let late = chat.say(2, &eve, 2, "late");
    for n in 2..6 {
        chat.say(0, &ann, n, "early");
    }
    chat.cluster(&["heal"]);
    let inserted = loop {
        let item = socket.next("item");
        if item["item"]["id"] == *late {
            break item;
        }
    };
    assert!(inserted["late"] == true && inserted["before"].is_string(), "{inserted}");
}

#[test]
fn chat_reader_that_does_not_read_is_told_to_come_again() {
    let chat = Chat::up(1);
    let session = chat.user(0, "ann", "tea");
    let mut idle = chat.socket(0, "group=tea");
    idle.next("items");
    // More than sockets and the queue hold.
    let text = "x".repeat(3900);
    side_by_side(16, 16, |part| {
        for n in 0..200 {
            chat.say(0, &session, part as u64 * 200 + n, &text);
        }
    });
    let mut read = 0;
    let close = loop {
        match idle.0.read() {
            Ok(Message::Close(frame)) => break frame,
            Ok(_) => read += 1,
            Err(error) => panic!("no close after {read} messages: {error}"),
        }
    };
    let close = close.expect("a close with a code");
    assert_eq!((u16::from(close.code), close.reason.as_str()), (4000, "behind"));
    assert!(read < 3200, "{read}");
    let (_, metrics) = chat.get(0, "/api/view");
    assert_eq!(metrics["tentative"], 0, "the server goes on: {metrics}");
}

#[test]
fn chat_random_rounds_end_in_one_state() {
    for seed in 0..2 {
        let chat = Chat::up(3);
        let mut prng = Prng::new(seed);
        let mut sessions: Vec<String> = (0..3).map(|at| chat.user(at, &format!("user{at}"), "tea")).collect();
        let (mut posts, mut alive) = (0, [true; 3]);
        for step in 0..60 {
            let at = prng.below(3) as usize;
            match prng.below(12) {
                0 => chat.cluster(&["part", ["s1/s2,s3", "s1,s2/s3", "s1/s2/s3"][prng.below(3) as usize]]),
                1 => chat.cluster(&["heal"]),
                2 if alive[at] => {
                    chat.cluster(&["kill", &format!("s{}", at + 1)]);
                    alive[at] = false;
                }
                2 => {
                    chat.cluster(&["start", &format!("s{}", at + 1)]);
                    chat.is_well(at);
                    sessions[at] = chat.user(at, &format!("user{at}"), "tea");
                    alive[at] = true;
                }
                3 | 4 if alive[at] => {
                    let items = chat.history(at, "tea");
                    if !items.is_empty() {
                        let item = &items[prng.below(items.len() as u64) as usize];
                        chat.like(at, &sessions[at], item["id"].as_str().unwrap(), prng.below(2) == 0);
                    }
                }
                _ if alive[at] => {
                    chat.say(at, &sessions[at], step, &format!("{step} at {at}"));
                    posts += 1;
                }
                _ => {}
            }
        }
        chat.cluster(&["heal"]);
        for at in (0..3).filter(|&at| !alive[at]) {
            chat.cluster(&["start", &format!("s{}", at + 1)]);
            chat.is_well(at);
        }
        chat.agreed("tea", posts);
        let groups = |at| chat.get(at, "/api/groups").1;
        until("one list of users", || (groups(0) == groups(1) && groups(1) == groups(2)).then_some(()));
        chat.ends_well();
    }
}
