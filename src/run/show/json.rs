//! The report of a run as JSON, one object a line on standard output.

use serde_json::{Value, json};

use super::Show;
use crate::client::Progress;
use crate::engine::Time;
use crate::run::process::{Death, Process};

/// Prints every event. A closed standard output does not end the run.
pub(super) struct Json;

fn print(value: &Value) {
    let _ = crate::cli::print(&value.to_string());
}

impl Show for Json {
    fn started(&mut self, process: &Process, pid: u32) {
        print(&json!({
            "v": 1, "event": "process", "process": process.name, "pid": pid,
            "command": process.command_line(),
        }));
    }

    fn said(&mut self, _number: usize, process: &Process, text: &str) {
        print(&json!({"v": 1, "event": "line", "process": process.name, "text": text}));
    }

    fn progressed(&mut self, _number: usize, process: &Process, progress: Progress, _now: Time) {
        let Progress { done, total, delivered, held } = progress;
        print(&json!({
            "v": 1, "event": "progress", "process": process.name,
            "done": done, "total": total, "delivered": delivered, "held": held,
        }));
    }

    fn ended(&mut self, _number: usize, process: &Process, death: &Death, was_told: bool) {
        print(&json!({
            "v": 1, "event": "exit", "process": process.name, "code": death.end.code(),
            "signal": death.end.signal(), "told": was_told, "error": death.error, "delivered": death.delivered,
        }));
    }

    fn notice(&mut self, text: &str) {
        print(&json!({"v": 1, "event": "notice", "text": text}));
    }
}
