//! A member in a tokio program: one task receives events, another one multicasts.
//!
//! `forwarder --clients 2`, `router` and `sequencer`, then `cargo run --example tokio -- --id a`, and the same with `b`. Both print the
//! same ticks in the same order.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use groupcast::{Builder, Error, Event, Group, Receiver, Sender};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::runtime;

/// The command line of a member.
#[derive(Parser)]
struct Options {
    /// Id of this member
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
    /// How many ticks to multicast
    #[arg(long, default_value_t = 10)]
    ticks: u64,
    /// Milliseconds from one tick to the next
    #[arg(long, default_value_t = 100)]
    every: u64,
}

/// Events for tasks: the descriptor of the receiver is readable while one waits.
struct Events(AsyncFd<Receiver>);

impl Events {
    fn new(receiver: Receiver) -> io::Result<Self> {
        #[expect(unsafe_code, reason = "AsyncFd has no safe constructor")]
        // SAFETY: a receiver has the same open descriptor from its creation until it is dropped.
        let events = unsafe { AsyncFd::register_with_interest(receiver, Interest::READABLE)? };
        Ok(Self(events))
    }

    async fn next(&mut self) -> Result<Event, Box<dyn std::error::Error>> {
        loop {
            let mut guard = self.0.readable_mut().await?;
            match guard.get_inner_mut().try_recv()? {
                Some(event) => return Ok(event),
                None => guard.clear_ready(),
            }
        }
    }
}

/// Multicasts ticks. If there is no room for one, waits without blocking the other tasks.
async fn tick(sender: Sender, ticks: u64, every: Duration) -> Result<(), Error> {
    for number in 1..=ticks {
        tokio::time::sleep(every).await;
        let tick = format!("tick {number}");
        while let Err(error) = sender.try_multicast(tick.clone()) {
            match error {
                Error::Full => tokio::time::sleep(every).await,
                error => return Err(error),
            }
        }
    }
    sender.finish();
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let Options { id, connect, keys, insecure, ticks, every } = Options::parse();
    let builder = Group::builder(id).forwarders([connect]).insecure(insecure);
    let (sender, receiver) = keys.into_iter().fold(builder, Builder::keys).join()?.split();
    runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let ticker = tokio::spawn(tick(sender, ticks, Duration::from_millis(every)));
        let mut events = Events::new(receiver)?;
        loop {
            match events.next().await? {
                Event::Delivery(it) => println!("{}: {}", it.from, String::from_utf8_lossy(&it.payload)),
                Event::End => break,
                _ => {}
            }
        }
        Ok(ticker.await??)
    })
}
