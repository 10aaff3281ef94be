//! Where the time of a round went: the work of threads and the packets of members, per multicast.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::part::Packets;
use super::round::Outcome;
use super::threads::{Spent, Work};
use crate::cost::Traffic;
use crate::wire::Kind;

/// The four figures of a row.
type Row = [f64; 4];

/// Returns the table for people.
pub(super) fn text(outcome: &Outcome) -> String {
    let mut table = String::new();
    head(&mut table, "per multicast", "threads", ["user µs", "kernel µs", "wake-ups", "preempted"]);
    for (role, works) in &outcome.work {
        let mut role = &**role;
        for Work { kind, spent } in works {
            row(&mut table, std::mem::take(&mut role), kind.name(), of_threads(*spent, outcome.sent));
        }
    }
    row(&mut table, "all processes", "", of_threads(all(outcome), outcome.sent));
    if let Some(packets) = &outcome.packets {
        head(&mut table, "members' packets", "kind", ["sent", "bytes", "received", "bytes"]);
        for kind in Kind::ALL {
            let both = [packets.sent.of(kind), packets.received.of(kind)];
            if both != [Traffic::default(); 2] {
                row(&mut table, "", &format!("{kind:?}"), of_packets(both, outcome.sent));
            }
        }
        row(&mut table, "all packets", "", of_packets(of_all(packets), outcome.sent));
        if let Some(fill) = fill(outcome.sent, packets) {
            let _ = writeln!(table, "     {fill:.1} multicasts in a Data packet");
        }
    }
    table.trim_end().to_owned()
}

/// Returns the fields of a round: the packets and the bytes that the members of a group sent, per multicast and, if the
/// work of threads was counted, wake-ups and the profile.
pub(super) fn fields(outcome: &Outcome, is_counted: bool) -> Vec<(&'static str, Value)> {
    let mut fields = Vec::new();
    if let Some(packets) = &outcome.packets {
        let [packets, bytes, ..] = of_packets(of_all(packets), outcome.sent);
        fields.extend([("packets_per_multicast", json!(packets)), ("bytes_per_multicast", json!(bytes))]);
    }
    if is_counted {
        fields.push(("wakeups_per_multicast", json!(per(all(outcome).wakeups, outcome.sent))));
        fields.push(("profile", json(outcome)));
    }
    fields
}

/// Returns the table as fields, of all multicasts together.
fn json(outcome: &Outcome) -> Value {
    let rows = outcome.work.iter().flat_map(|(role, works)| works.iter().map(move |work| (role, work)));
    let threads = rows.map(|(role, Work { kind, spent: Spent { user, kernel, wakeups, preemptions } })| {
        json!({
            "role": role, "threads": kind.name(), "user_us": user, "kernel_us": kernel,
            "wakeups": wakeups, "preemptions": preemptions,
        })
    });
    let mut fields = json!({ "multicasts": outcome.sent, "threads": threads.collect::<Vec<_>>() });
    if let Some(packets) = &outcome.packets {
        let kinds = Kind::ALL.map(|kind| {
            let [sent, received] = [packets.sent.of(kind), packets.received.of(kind)];
            json!({
                "kind": format!("{kind:?}"), "sent": sent.packets, "sent_bytes": sent.bytes,
                "received": received.packets, "received_bytes": received.bytes,
            })
        });
        fields["packets"] = json!(kinds);
        fields["multicasts_per_data_packet"] = json!(fill(outcome.sent, packets));
    }
    fields
}

fn all(outcome: &Outcome) -> Spent {
    let mut all = Spent::default();
    outcome.work.iter().flat_map(|(_, works)| works).for_each(|work| all += work.spent);
    all
}

fn of_threads(spent: Spent, multicasts: u64) -> Row {
    let Spent { user, kernel, wakeups, preemptions } = spent;
    [user, kernel, wakeups, preemptions].map(|count| per(count, multicasts))
}

fn of_all(packets: &Packets) -> [Traffic; 2] {
    [packets.sent.all(), packets.received.all()]
}

fn of_packets([sent, received]: [Traffic; 2], multicasts: u64) -> Row {
    [sent.packets, sent.bytes, received.packets, received.bytes].map(|count| per(count, multicasts))
}

/// Returns the multicasts of a data packet, on average.
fn fill(multicasts: u64, packets: &Packets) -> Option<f64> {
    let data = packets.sent.of(Kind::Data).packets;
    (data > 0).then(|| per(multicasts, data))
}

/// Returns the quotient, to four digits behind the point; zero if there are no multicasts.
fn per(count: u64, multicasts: u64) -> f64 {
    if multicasts == 0 { 0.0 } else { (count as f64 / multicasts as f64 * 1e4).round() / 1e4 }
}

fn head(table: &mut String, what: &str, which: &str, columns: [&str; 4]) {
    let [a, b, c, d] = columns;
    let _ = writeln!(table, "     {what:<17} {which:<13} {a:>9} {b:>10} {c:>9} {d:>10}");
}

fn row(table: &mut String, role: &str, kind: &str, [a, b, c, d]: Row) {
    let _ = writeln!(table, "     {role:<17} {kind:<13} {a:>9.3} {b:>10.3} {c:>9.3} {d:>10.3}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_per_multicast_and_none_is_divided_by_nothing() {
        let spent = Spent { user: 10, kernel: 20, wakeups: 1, preemptions: 3 };
        assert_eq!(of_threads(spent, 8), [1.25, 2.5, 0.125, 0.375]);
        assert_eq!(of_threads(spent, 0), [0.0; 4]);
        let (sent, received) = (Traffic { packets: 1, bytes: 70 }, Traffic { packets: 3, bytes: 210 });
        assert_eq!(of_packets([sent, received], 3), [0.3333, 23.3333, 1.0, 70.0]);
        assert_eq!(fill(7, &Packets::default()), None);
    }
}
