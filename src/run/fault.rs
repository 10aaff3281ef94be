//! What a scenario lets happen to a run: to its processes, its links and the machine, and what came of it.

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

/// Something that happens at one time.
#[derive(Clone, Debug)]
pub(super) struct Fault {
    /// From the start of the clients.
    pub(super) after: Duration,
    pub(super) act: Act,
}

/// What happens.
#[derive(Clone, Debug)]
pub(super) enum Act {
    /// A process gets a signal, and is to end of it, while the others go on, or not.
    Signal { process: String, signal: Signal, dies: bool },
    /// A process stands still for a while.
    Pause { process: String, lasts: Duration },
    /// A process is killed, and started again a while later.
    Restart { process: String, pause: Duration },
    /// So many threads want the processor for themselves.
    Starve { threads: u16, lasts: Duration },
}

/// What came of a fault.
#[derive(Clone, Debug)]
pub(super) struct Told {
    /// The fault as it is shown, and its kind.
    fault: String,
    kind: String,
    /// What it did, in words; nothing if it never acted.
    did: Option<String>,
}

impl Fault {
    /// The process that it happens to.
    pub(super) const fn process(&self) -> Option<&String> {
        match &self.act {
            Act::Signal { process, .. } | Act::Pause { process, .. } | Act::Restart { process, .. } => {
                Some(process)
            }
            Act::Starve { .. } => None,
        }
    }

    /// The process that is to die of it while the others go on.
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
    /// What a proxy says of one of its faults, if it is that.
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

/// The signal as people write it.
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
