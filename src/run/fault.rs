//! The faults that a scenario injects into processes, links and the machine, and their effects.

use std::fmt;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::proxy::time;

/// The signals that a scenario can name.
pub(super) const SIGNALS: [(&str, Signal); 5] = [
    ("KILL", Signal::KILL),
    ("TERM", Signal::TERM),
    ("INT", Signal::INT),
    ("STOP", Signal::STOP),
    ("CONT", Signal::CONT),
];

/// A fault with its time.
#[derive(Clone, Debug)]
pub(super) struct Fault {
    /// The time since the start of the clients.
    pub(super) after: Duration,
    pub(super) act: Act,
}

/// The kind of a fault.
#[derive(Clone, Debug)]
pub(super) enum Act {
    /// A process gets a signal. If it `dies`, it ends because of the signal while the others go on.
    Signal { process: String, signal: Signal, dies: bool },
    /// A process is stopped for a while.
    Pause { process: String, lasts: Duration },
    /// A process is killed, and started again after a pause.
    Restart { process: String, pause: Duration },
    /// This many threads keep the processors busy.
    Starve { threads: u16, lasts: Duration },
}

/// The report on a fault.
#[derive(Clone, Debug)]
pub(super) struct Told {
    /// The text of the fault, and its kind.
    fault: String,
    kind: String,
    /// The effect; `None` if the fault never acted.
    did: Option<String>,
}

impl Fault {
    /// Returns the process that the fault concerns.
    pub(super) const fn process(&self) -> Option<&String> {
        match &self.act {
            Act::Signal { process, .. } | Act::Pause { process, .. } | Act::Restart { process, .. } => {
                Some(process)
            }
            Act::Starve { .. } => None,
        }
    }

    /// Returns the process that ends because of the fault while the others go on.
    pub(super) fn victim(&self) -> Option<&str> {
        match &self.act {
            Act::Signal { process, dies: true, .. } => Some(process),
            _ => None,
        }
    }

    const fn kind(&self) -> &'static str {
        match self.act {
            Act::Signal { .. } => "signal",
            Act::Pause { .. } => "pause",
            Act::Restart { .. } => "restart",
            Act::Starve { .. } => "starve",
        }
    }

    pub(super) fn told(&self, has_acted: bool) -> Told {
        let did = has_acted.then(|| "done".to_owned());
        Told { fault: self.to_string(), kind: self.kind().to_owned(), did }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", time(self.after))?;
        match &self.act {
            Act::Signal { process, signal, dies } => {
                let dies = if *dies { ", which dies" } else { "" };
                write!(f, "{} to {process}{dies}", name(*signal))
            }
            Act::Pause { process, lasts } => write!(f, "pause {process} for {}", time(*lasts)),
            Act::Restart { process, pause } => write!(f, "restart {process} within {}", time(*pause)),
            Act::Starve { threads, lasts } => write!(f, "starve with {threads} threads for {}", time(*lasts)),
        }
    }
}

impl Told {
    /// Parses a proxy's report on one of its faults; `None` for any other line.
    pub(super) fn by_proxy(line: &str) -> Option<Self> {
        let event: Value =
            serde_json::from_str(line).ok().filter(|event: &Value| event["event"] == "fault")?;
        let count = |name: &str| {
            event[name].as_u64().filter(|&count| count > 0).map(|count| format!("{count} {name}"))
        };
        let counts: Vec<String> =
            ["connections", "refused", "bytes", "packets"].into_iter().filter_map(count).collect();
        Some(Self {
            fault: event["fault"].as_str()?.to_owned(),
            kind: event["kind"].as_str()?.to_owned(),
            did: event["acted"].as_bool()?.then(|| counts.join(", ")),
        })
    }

    pub(super) const fn has_acted(&self) -> bool {
        self.did.is_some()
    }

    pub(super) fn line(&self, width: usize) -> String {
        format!("{:<width$}  {}", self.fault, self.did.as_deref().unwrap_or("never acted"))
    }

    pub(super) fn json(&self) -> Value {
        json!({"fault": self.fault, "kind": self.kind, "acted": self.has_acted(), "did": self.did})
    }

    pub(super) fn name(&self) -> &str {
        &self.fault
    }
}

/// Returns the name of a signal, without `SIG`.
fn name(signal: Signal) -> &'static str {
    SIGNALS.into_iter().find(|(_, known)| *known == signal).map_or("a signal", |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_proxy_says_of_a_fault_is_understood() {
        let acted =
            r#"{"event":"fault","fault":"1s cut","kind":"cut","acted":true,"connections":3,"refused":0}"#;
        let told = Told::by_proxy(acted).unwrap();
        assert_eq!(told.line(8), "1s cut    3 connections");
        let idle = Told::by_proxy(&acted.replace("true", "false")).unwrap();
        assert_eq!((idle.has_acted(), &*idle.line(0)), (false, "1s cut  never acted"));
        assert!(Told::by_proxy(r#"{"event":"end"}"#).is_none() && Told::by_proxy("now: 1s cut").is_none());
    }
}
