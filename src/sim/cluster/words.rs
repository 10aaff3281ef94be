//! The messages of a simulated cluster in words, for the trace.

use crate::replica::message::{Line, Message, Piece};

/// Words a message for the trace.
pub(super) fn words(message: &Message) -> String {
    match message {
        Message::Entry(entry) => {
            format!("entry {} of {} at {}", entry.id.number, entry.id.origin, entry.time)
        }
        Message::Piece(piece) => {
            let Piece { id, start, whole, bytes } = piece;
            let octets = bytes.len();
            format!("piece of {octets} octets at {start} of {whole} of entry {} of {}", id.number, id.origin)
        }
        Message::Word(word) => {
            let line = |line: &Line| {
                format!("{} sent {} clock {} has {:?}", line.member, line.sent, line.clock, line.stored)
            };
            let lines: Vec<String> = word.lines.iter().map(line).collect();
            format!(
                "word: confirmed {}{}; {}",
                word.confirmed,
                if word.settled { ", settled" } else { "" },
                lines.join("; ")
            )
        }
        Message::Forgotten(id) => format!("forgotten: entry {} of {}", id.number, id.origin),
        Message::Want(want) => {
            let entries =
                want.entries.iter().map(|range| format!("{} {}..{}", range.origin, range.first, range.last));
            let pieces = want.pieces.iter().map(|range| {
                format!("{} {} octets {}..{}", range.id.origin, range.id.number, range.first, range.last)
            });
            format!("want {}", entries.chain(pieces).collect::<Vec<_>>().join(", "))
        }
        other => format!("{other:?}"),
    }
}
