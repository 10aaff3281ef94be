//! A key-value store that is kept in step in several processes: each has all of it, and all end with the same digest.
//!
//! `forwarder --clients 3`, `router` and `sequencer`, then `cargo run --example kv -- --id a`, the same with `b` and `c` and, while they
//! are at work, `cargo run --example kv -- --id d --late`.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use groupcast::{Builder, Error, Event, Group, Start};

/// The command line of a store.
#[derive(Parser)]
struct Options {
    /// Name of this store
    #[arg(long)]
    id: String,
    /// Address of the forwarder
    #[arg(long, default_value = "127.0.0.1")]
    connect: String,
    /// Folder of keys, or the file of `groupcast keys pack`
    #[arg(long, env = "GROUPCAST_KEYS")]
    keys: Option<PathBuf>,
    /// Connect to another machine without keys
    #[arg(long, env = "GROUPCAST_INSECURE")]
    insecure: bool,
    /// Join stores that are at work already
    #[arg(long)]
    late: bool,
    /// How many values to put into the store
    #[arg(long, default_value_t = 1000)]
    puts: u64,
    /// Suspect a store that is silent for so many milliseconds
    #[arg(long, default_value_t = 10_000)]
    suspect_after: u64,
}

/// The replica: the result of the deliveries, and of nothing else.
#[derive(Default)]
struct Store(BTreeMap<String, String>);

impl Store {
    /// Applies `key=value`, which replaces, or `key+=text`, which appends.
    fn apply(&mut self, operation: &str) {
        match operation.split_once("+=") {
            Some((key, text)) => self.0.entry(key.into()).or_default().push_str(text),
            None => self.0.extend(operation.split_once('=').map(|(key, value)| (key.into(), value.into()))),
        }
    }

    fn snapshot(&self) -> String {
        self.0.iter().map(|(key, value)| format!("{key}={value}\n")).collect()
    }

    fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.0.hash(&mut hasher);
        hasher.finish()
    }
}

fn main() -> Result<(), Error> {
    let Options { id, connect, keys, insecure, late, puts, suspect_after } = Options::parse();
    let start = if late { Start::WithState } else { Start::Together };
    let builder = Group::builder(&id).forwarders([connect]).insecure(insecure);
    let builder = keys.into_iter().fold(builder, Builder::keys).start(start).gives_state(true);
    let mut group = builder.suspect_after(Duration::from_millis(suspect_after)).join()?;
    let (mut store, mut put) = (Store::default(), 0);
    loop {
        let goes_on = match group.recv()? {
            Event::Delivery(it) => {
                store.apply(&String::from_utf8_lossy(&it.payload));
                it.from == id
            }
            Event::View(view) => {
                println!("view {}: {}", view.number, view.members.join(" "));
                put == 0
            }
            Event::State(state) => {
                String::from_utf8_lossy(&state).lines().for_each(|line| store.apply(line));
                false
            }
            Event::StateRequest(request) => request.reply(store.snapshot()).map(|()| false)?,
            Event::End => break,
            _ => false,
        };
        // The next put when the last one has been applied.
        if goes_on && put < puts {
            put += 1;
            let operation = if put % 3 == 0 { "+=" } else { "=" };
            group.multicast(format!("k{}{operation}{id}{put};", put % 50))?;
        } else if goes_on {
            group.finish();
        }
    }
    println!("{id}: {} keys, digest {:016x}", store.0.len(), store.digest());
    Ok(())
}
