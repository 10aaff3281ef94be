//! The records of a journal for people and for programs: `groupcast journal show`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::audit::{name, place, prefix};
use crate::replica::entry::{Content, Entry};
use crate::replica::epoch::{Change, Request};
use crate::replica::record::{Confirmed, Old, Record, Snapshot, Vote};
use crate::talk::on_one_line;
use crate::wire::Batch;

/// Returns a record as a line.
pub(super) fn line(bytes: &Bytes) -> String {
    match Record::parse(bytes.clone()) {
        Ok(Record::Life { number }) => format!("life {number}"),
        Ok(Record::Entry(entry)) => entry_line(&entry),
        Ok(Record::Confirmed(confirmed)) => format!("confirmed: {}", prefix(confirmed)),
        Ok(Record::Snapshot(snapshot)) => snapshot_line(&snapshot),
        Ok(Record::Vote(vote)) => vote_line(&vote),
        Ok(Record::Began(confirmed)) => format!("added after {}", prefix(confirmed)),
        Ok(Record::Change(number, change)) => format!("epoch {number}: {}", change_line(&change)),
        Ok(Record::Clock(clock)) => format!("clock {clock}"),
        Ok(Record::Old(old)) => match old {
            Old::Forked(id) => {
                format!("an old copy: others have another {}", name(id.origin, id.number))
            }
            Old::Lacks(id) => {
                format!("an old copy: others have forgotten {}", name(id.origin, id.number))
            }
        },
        Err(_) => format!("no record: {} bytes", bytes.len()),
    }
}

fn entry_line(entry: &Entry) -> String {
    let id = name(entry.id.origin, entry.id.number);
    let content = match &entry.content {
        Content::Multicast(batch) => format!("multicast {}", texts(batch)),
        Content::Direct(to, batch) => format!("to slot {} {}", to.0, texts(batch)),
        Content::Finished => "finished".to_owned(),
    };
    format!("{id} at {}, life {}, causes {:?}: {content}", place(entry.stamp()), entry.life, entry.causes)
}

fn texts(batch: &Batch) -> String {
    let texts: Vec<String> =
        batch.messages().map(|(number, text)| format!("{number} \"{}\"", on_one_line(text))).collect();
    texts.join(", ")
}

fn snapshot_line(snapshot: &Snapshot) -> String {
    let upto: Vec<u64> = snapshot.origins.iter().map(|origin| origin.number).collect();
    let confirmed = prefix(snapshot.confirmed);
    format!("snapshot: entries up to {upto:?} are forgotten: {confirmed}")
}

/// Returns a record as a JSON object.
pub(super) fn json(index: u64, bytes: &Bytes) -> Value {
    let mut fields = match Record::parse(bytes.clone()) {
        Ok(Record::Life { number }) => json!({ "kind": "life", "number": number }),
        Ok(Record::Entry(entry)) => entry_json(&entry),
        Ok(Record::Confirmed(confirmed)) => confirmed_json("confirmed", confirmed),
        Ok(Record::Snapshot(snapshot)) => snapshot_json(&snapshot),
        Ok(Record::Vote(vote)) => vote_json(&vote),
        Ok(Record::Began(confirmed)) => confirmed_json("began", confirmed),
        Ok(Record::Change(number, change)) => change_json(number, &change),
        Ok(Record::Clock(clock)) => json!({ "kind": "clock", "clock": clock }),
        Ok(Record::Old(old)) => {
            let (why, id) = match old {
                Old::Forked(id) => ("forked", id),
                Old::Lacks(id) => ("lacks", id),
            };
            json!({ "kind": "old", "why": why, "origin": id.origin.0, "number": id.number })
        }
        Err(_) => json!({ "kind": "unknown", "bytes": bytes.len() }),
    };
    let mut all = Map::from_iter([("v".to_owned(), json!(1)), ("index".to_owned(), json!(index))]);
    if let Some(fields) = fields.as_object_mut() {
        all.append(fields);
    }
    Value::Object(all)
}

fn entry_json(entry: &Entry) -> Value {
    let mut fields = json!({
        "kind": "entry",
        "origin": entry.id.origin.0,
        "number": entry.id.number,
        "time": entry.time,
        "life": entry.life,
        "causes": entry.causes,
        "previous": digest(entry.previous),
        "digest": digest(entry.digest()),
    });
    match &entry.content {
        Content::Multicast(batch) => fields["multicast"] = messages(batch),
        Content::Direct(to, batch) => {
            fields["to"] = json!(to.0);
            fields["direct"] = messages(batch);
        }
        Content::Finished => fields["finished"] = json!(true),
    }
    fields
}

fn messages(batch: &Batch) -> Value {
    let message = |(number, text): (u64, &[u8])| match std::str::from_utf8(text) {
        Ok(text) => json!({ "number": number, "text": text }),
        Err(_) => json!({ "number": number, "text_b64": STANDARD.encode(text) }),
    };
    batch.messages().map(message).collect()
}

fn confirmed_json(kind: &str, confirmed: Confirmed) -> Value {
    let Confirmed { upto, entries, count, digest: sum } = confirmed;
    json!({
        "kind": kind,
        "upto": [upto.time, upto.origin.0],
        "entries": entries,
        "count": count,
        "digest": digest(sum),
    })
}

fn snapshot_json(snapshot: &Snapshot) -> Value {
    let mut fields = confirmed_json("snapshot", snapshot.confirmed);
    let origins = snapshot.origins.iter().map(|origin| {
        json!({
            "number": origin.number,
            "time": origin.time,
            "digest": digest(origin.digest),
            "multicasts": origin.multicasts,
            "finished": origin.finished,
        })
    });
    fields["origins"] = origins.collect();
    fields["received"] = json!(snapshot.received);
    fields["sent"] = json!(snapshot.sent);
    fields
}

fn request_line(request: &Request) -> String {
    match request {
        Request::Add { name, udp } => format!("add {name} at {udp}"),
        Request::Remove(slot) => format!("remove slot {}", slot.0),
    }
}

fn change_line(change: &Change) -> String {
    let Change { request, clock, stored } = change;
    format!("{}, above clock {clock}, entries up to {stored:?}", request_line(request))
}

fn vote_line(vote: &Vote) -> String {
    let Vote { epoch, ballot, request, clock, accepted, .. } = vote;
    let what = request.as_ref().map_or_else(|| "nothing".to_owned(), request_line);
    let accepted = accepted.as_ref().map(|(_, change)| format!(", accepted: {}", change_line(change)));
    let (round, proposer) = (ballot.round, ballot.proposer.0);
    format!(
        "vote in epoch {epoch}, ballot {round} of slot {proposer}, clock {clock}: {what}{}",
        accepted.unwrap_or_default()
    )
}

fn request_json(request: &Request) -> Value {
    match request {
        Request::Add { name, udp } => json!({ "add": name, "udp": udp.to_string() }),
        Request::Remove(slot) => json!({ "remove": slot.0 }),
    }
}

fn change_json(number: u16, change: &Change) -> Value {
    json!({
        "kind": "epoch",
        "epoch": number,
        "change": request_json(&change.request),
        "clock": change.clock,
        "stored": change.stored,
    })
}

fn vote_json(vote: &Vote) -> Value {
    json!({
        "kind": "vote",
        "epoch": vote.epoch,
        "ballot": [vote.ballot.round, u32::from(vote.ballot.proposer.0)],
        "change": vote.request.as_ref().map(request_json),
        "clock": vote.clock,
        "accepted": vote.accepted.as_ref().map(|(_, change)| change_json(vote.epoch + 1, change)),
    })
}

/// Returns a digest as in histories: a number of 64 bits is no number of JSON everywhere.
fn digest(sum: u64) -> String {
    format!("{sum:016x}")
}
