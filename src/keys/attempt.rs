//! `groupcast keys check --connect`: whether each port of a forwarder and its router lets a member in, and if not, why.

use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::Result;

use super::files::name;
use super::folder::FORWARDER;
use super::own;
use crate::cli;
use crate::exit::{Exit, Failure};
use crate::transport::address::{Addresses, Port};
use crate::transport::attempt::{Welcome, try_port};
use crate::transport::resolve;

/// Longest wait for the address of a name.
const LOOK_UP_LIMIT: Duration = Duration::from_secs(5);

/// Tries the ports at all of these addresses with the keys of the member `id`, without an id those of the forwarder; of a
/// file, those of its owner. Prints the welcome at each port; returns the exit code of the worst.
///
/// # Errors
/// As [`own::credentials`]; [`Exit::Unavailable`] if a name has no address.
pub(super) fn run(keys: &Path, id: Option<&str>, to: &Addresses, port_base: u16) -> Result<Exit> {
    let known = own::credentials(keys, id.unwrap_or(FORWARDER))?;
    let sites = resolve::numbered(&to.sites("--connect", port_base)?, None, LOOK_UP_LIMIT)?;
    let who = known.first().map_or_else(|| name(keys), |known| known.own.public.short());
    cli::print(&format!("with the key {who}:"))?;
    let mut found = Vec::new();
    for site in &sites {
        let tried: Vec<Result<Welcome, Failure>> = thread::scope(|scope| {
            let attempts = Port::ALL.map(|port| {
                let known = &known;
                scope.spawn(move || try_port(site, port, known))
            });
            attempts.map(|attempt| attempt.join().expect("an attempt does not panic")).into()
        });
        for (port, welcome) in Port::ALL.into_iter().zip(tried) {
            let welcome = welcome?;
            cli::print(&format!("{:<6}  {}  {}", name_of(port), site.endpoint(port), words(port, welcome)))?;
            found.push(exit(port, welcome));
        }
    }
    let worst = [Exit::Denied, Exit::Unavailable].into_iter().find(|exit| found.contains(exit));
    Ok(worst.unwrap_or(Exit::Ok))
}

const fn name_of(port: Port) -> &'static str {
    match port {
        Port::In => "in",
        Port::Out => "out",
        Port::Sync => "sync",
        Port::Router => "router",
    }
}

const fn words(port: Port, welcome: Welcome) -> &'static str {
    match welcome {
        Welcome::Ok => "ok",
        Welcome::Denied => "does not accept this key: is it in `members` of the folder there?",
        Welcome::Plain => "uses no keys",
        Welcome::Other => "has another key than that of the forwarder in these files, or is no forwarder",
        Welcome::Silent => "accepts connections and says nothing: is it a forwarder, and not stopped?",
        Welcome::Nobody if matches!(port, Port::Router) => {
            "nobody is there; only clients that send direct messages need a router"
        }
        Welcome::Nobody => "nobody is there",
    }
}

const fn exit(port: Port, welcome: Welcome) -> Exit {
    match welcome {
        Welcome::Nobody if matches!(port, Port::Router) => Exit::Ok,
        Welcome::Ok => Exit::Ok,
        Welcome::Denied | Welcome::Plain | Welcome::Other => Exit::Denied,
        Welcome::Silent | Welcome::Nobody => Exit::Unavailable,
    }
}
