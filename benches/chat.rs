//! Measures how soon a post is at many clients: `cargo bench --features web --bench chat [-- CLIENTS [POSTS]]`.
//!
//! Three chat servers run on this machine. All clients are connected to the first one, which takes in a post every 50
//! milliseconds. The times are those from the answer that the post is stored to its event at each client, and from the
//! request on.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use groupcast::cluster::file::Cluster;
use hdrhistogram::Histogram;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;

use futures_util::StreamExt as _;

/// The time between two posts.
const EVERY: Duration = Duration::from_millis(50);
/// The time for which clients wait for the last events.
const PATIENCE: Duration = Duration::from_secs(10);

/// Servers that end with the measurement.
struct Up(Child);

impl Drop for Up {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.0);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = self.0.wait();
    }
}

fn main() {
    let mut numbers = std::env::args().skip(1).filter_map(|word| word.parse::<usize>().ok());
    let (clients, posts) = (numbers.next().unwrap_or(500), numbers.next().unwrap_or(200));
    let dir = tempfile::tempdir().expect("a folder");
    let folder = dir.path().join("c");
    let (up, url) = start(&folder);
    let address = url.trim_start_matches("http://").to_owned();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let (stored, requested, missing) = runtime.block_on(measure(&address, clients, posts));
    let ms = |histogram: &Histogram<u64>, share| histogram.value_at_quantile(share) as f64 / 1000.0;
    for (what, times) in [("from the answer", &stored), ("from the request", &requested)] {
        println!(
            "{clients} clients, {posts} posts, {what}: median {:.1} ms, p99 {:.1} ms, longest {:.1} ms",
            ms(times, 0.5),
            ms(times, 0.99),
            ms(times, 1.0)
        );
    }
    println!("memory of the server: {} KiB for each client", memory(&folder) / clients.max(1) as u64);
    drop(up);
    assert_eq!(missing, 0, "events that did not come");
}

/// Starts three servers. Returns the address of the first.
fn start(folder: &Path) -> (Up, String) {
    let mut up = Command::new(env!("CARGO_BIN_EXE_groupcast"))
        .args(["cluster", "up"])
        .arg(folder)
        .args(["--servers", "3"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("groupcast starts");
    let mut lines = BufReader::new(up.stdout.take().expect("its output")).lines();
    let first = (0..3).filter_map(|_| lines.next()?.ok()).next().expect("the address of a server");
    Cluster::read(&folder.join("cluster.toml"), None).expect("a cluster file");
    (Up(up), first.split(' ').next().unwrap_or_default().to_owned())
}

/// Returns the times in microseconds from the answer and from the request to each client, and the count of missing events.
#[allow(clippy::disallowed_methods, reason = "it measures time")]
async fn measure(address: &str, clients: usize, posts: usize) -> (Histogram<u64>, Histogram<u64>, usize) {
    let session = ask(address, "/api/session", &json!({"user": "bench"}))["session"].clone();
    ask(address, "/api/join", &json!({"session": session, "group": "bench"}));
    let (arrived, mut arrivals) = mpsc::unbounded_channel();
    for _ in 0..clients {
        let url = format!("ws://{address}/ws?group=bench");
        let (mut socket, _) = connect_async(url).await.expect("a WebSocket");
        let arrived = arrived.clone();
        tokio::spawn(async move {
            while let Some(Ok(message)) = socket.next().await {
                if let Message::Text(text) = message
                    && let Some(n) = number(&text)
                {
                    let _ = arrived.send((n, Instant::now()));
                }
            }
        });
    }
    let times = Arc::new(Mutex::new(Vec::new()));
    let (address, noted) = (address.to_owned(), Arc::clone(&times));
    let poster = std::thread::spawn(move || {
        for n in 0..posts {
            let request = Instant::now();
            ask(
                &address,
                "/api/post",
                &json!({"session": session, "group": "bench", "n": n, "text": "x".repeat(100)}),
            );
            noted.lock().expect("no panic").push((request, Instant::now()));
            std::thread::sleep(EVERY);
        }
    });
    let mut seen = Vec::new();
    while seen.len() < clients * posts {
        match tokio::time::timeout(PATIENCE, arrivals.recv()).await {
            Ok(Some(arrival)) => seen.push(arrival),
            _ => break,
        }
    }
    poster.join().expect("all posts are stored");
    let times = times.lock().expect("no panic");
    let [mut stored, mut requested] = [0; 2].map(|_| Histogram::new(3).expect("three digits"));
    for (n, at) in &seen {
        let (request, answer) = times[*n];
        let micros = |from: Instant| at.saturating_duration_since(from).as_micros() as u64;
        stored.record(micros(answer)).expect("within the range");
        requested.record(micros(request)).expect("within the range");
    }
    (stored, requested, clients * posts - seen.len())
}

/// Returns the number of the post of an event, if it tells of one.
fn number(text: &str) -> Option<usize> {
    if !text.starts_with("{\"event\":\"item\"") {
        return None;
    }
    let event: Value = serde_json::from_str(text).ok()?;
    event["item"]["n"].as_u64().map(|n| n as usize)
}

/// Sends a request, and returns the answer.
fn ask(address: &str, path: &str, body: &Value) -> Value {
    let mut stream = TcpStream::connect(address).expect("the server listens");
    let body = body.to_string();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Type: application/json"
    );
    write!(stream, "{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).expect("the server takes it");
    let answer = std::io::read_to_string(stream).expect("the server answers");
    let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
    serde_json::from_str(body).expect("an answer in JSON")
}

/// Returns the resident memory of the first server, in KiB.
fn memory(folder: &Path) -> u64 {
    let status = Command::new(env!("CARGO_BIN_EXE_groupcast"))
        .args(["cluster", "status", "--json"])
        .arg(folder)
        .output();
    let status: Value =
        status.ok().and_then(|it| serde_json::from_slice(&it.stdout).ok()).unwrap_or_default();
    let pid = status["up"]["servers"][0]["pid"].as_u64().unwrap_or_default();
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}
