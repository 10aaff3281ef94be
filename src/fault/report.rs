//! The report on a fault after a run: its effect, or that it never acted.

use serde_json::{Value, json};

use super::process;

/// The report on a fault.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    /// The text of the fault, and the word for its kind.
    fault: String,
    kind: String,
    /// The effect; `None` if the fault never acted.
    did: Option<String>,
}

impl Report {
    /// Creates the report on a fault of a process.
    pub(crate) fn of_process(fault: &process::Fault, has_acted: bool) -> Self {
        let did = has_acted.then(|| "done".to_owned());
        Self { fault: fault.to_string(), kind: fault.kind().to_owned(), did }
    }

    /// Parses a proxy's report on one of its faults; `None` for any other line.
    pub(crate) fn of_proxy(line: &str) -> Option<Self> {
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

    pub(crate) const fn has_acted(&self) -> bool {
        self.did.is_some()
    }

    pub(crate) fn line(&self, width: usize) -> String {
        format!("{:<width$}  {}", self.fault, self.did.as_deref().unwrap_or("never acted"))
    }

    pub(crate) fn json(&self) -> Value {
        json!({"fault": self.fault, "kind": self.kind, "acted": self.has_acted(), "did": self.did})
    }

    /// Returns the text of the fault.
    pub(crate) fn fault(&self) -> &str {
        &self.fault
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn report_of_a_proxy_is_parsed() {
        let acted =
            r#"{"event":"fault","fault":"1s cut","kind":"cut","acted":true,"connections":3,"refused":0}"#;
        let report = Report::of_proxy(acted).unwrap();
        assert_eq!(report.line(8), "1s cut    3 connections");
        let idle = Report::of_proxy(&acted.replace("true", "false")).unwrap();
        assert_eq!((idle.has_acted(), &*idle.line(0)), (false, "1s cut  never acted"));
        assert!(
            Report::of_proxy(r#"{"event":"end"}"#).is_none() && Report::of_proxy("now: 1s cut").is_none()
        );
    }
}
