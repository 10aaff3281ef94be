//! The datagrams of clusters, held to the vectors in `testdata/datagrams` and to `docs/PROTOCOL.md`.
//!
//! `GROUPCAST_REWRITE=1 cargo test datagrams` writes the vectors anew from the typed values in [`vectors`], so that a
//! change of the format is reviewed as a diff.

mod names;
mod sealed;
mod vectors;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Once;

use bytes::Bytes;
use groupcast::ids::MemberId;
use groupcast::replica::message::Message;
use groupcast::wire::Malformed;
use groupcast::wire::datagram::{Head, of_content, unpack};

use vectors::{RefusedBy, bad, good};

/// The head of all vectors.
const HEAD: Head = Head { cluster: 0x4567_89ab_cdef, epoch: 1, sender: MemberId(0) };

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn folder() -> PathBuf {
    static REWRITTEN: Once = Once::new();
    crate::protocol::folder::folder("testdata/datagrams", &REWRITTEN, expected)
}

/// The expected contents of every file.
fn expected() -> BTreeMap<String, String> {
    let good = good().into_iter().map(|vector| (vector.file.to_owned(), vector.text()));
    let bad = bad().into_iter().map(|vector| (format!("bad/{}", vector.file), vector.text()));
    good.chain(bad).collect()
}

/// The names of all files, ascending.
fn names() -> Vec<String> {
    let list = |sub: &str| {
        let entries = fs::read_dir(folder().join(sub)).expect("testdata/datagrams is there");
        let files = entries.map(|entry| entry.expect("readable")).filter(|entry| entry.path().is_file());
        files.map(|entry| format!("{sub}{}", entry.file_name().to_str().expect("ASCII"))).collect::<Vec<_>>()
    };
    let mut all = [list(""), list("bad/")].concat();
    all.sort();
    all
}

/// The octets of a vector.
fn octets(text: &str) -> Bytes {
    let lines = text.lines().skip_while(|line| !line.starts_with("datagram:"));
    let digits = lines.flat_map(|line| line.trim_start_matches("datagram:").split_whitespace());
    digits.map(|pair| u8::from_str_radix(pair, 16).expect("hexadecimal digits")).collect()
}

/// The octets of a vector, as a vector has them.
fn shown(datagram: &[u8]) -> String {
    let lines: Vec<String> = datagram.chunks(16).map(names::hex).collect();
    format!("datagram: {}\n", lines.join("\n          "))
}

/// Reads a datagram as a member does.
fn read(datagram: Bytes) -> Result<(Head, Vec<Message>), RefusedBy> {
    let (head, messages) = unpack(datagram).map_err(|Malformed| RefusedBy::Datagram)?;
    let messages: Result<_, _> = messages.map(Message::parse).collect();
    Ok((head, messages.map_err(|Malformed| RefusedBy::Message)?))
}

#[test]
fn datagrams_vector_files_are_those_of_the_table() {
    let expected = expected();
    assert!(expected.len() > 40, "only {} vectors", expected.len());
    assert_eq!(names(), expected.keys().cloned().collect::<Vec<_>>(), "GROUPCAST_REWRITE=1 rewrites them");
    for (name, text) in expected {
        let found = fs::read_to_string(folder().join(&name)).unwrap_or_default();
        assert_eq!(found, text, "{name}: GROUPCAST_REWRITE=1 rewrites it");
    }
}

#[test]
fn datagrams_every_vector_is_read_and_written_back() {
    for vector in good() {
        let datagram = octets(&vector.text());
        let (head, messages) = read(datagram.clone()).expect(vector.file);
        assert_eq!((head, &messages), (HEAD, &vector.messages), "{}", vector.file);
        assert_eq!(vector.datagram(), datagram, "{}", vector.file);
        let named: Vec<u8> = vector.fields().0.into_iter().flat_map(|field| field.bytes).collect();
        assert_eq!(named, datagram, "{}: named otherwise", vector.file);
    }
}

#[test]
fn datagrams_every_bad_vector_is_refused() {
    for vector in bad() {
        assert_eq!(read(octets(&vector.text())).err(), Some(vector.by), "{}", vector.file);
    }
}

#[test]
fn datagrams_every_truncation_and_changed_byte_is_refused() {
    for vector in good() {
        let datagram = vector.datagram();
        for end in 0..datagram.len() {
            assert!(unpack(datagram.slice(..end)).is_err(), "{}: {end} bytes", vector.file);
        }
        for at in 0..datagram.len() {
            let mut changed = datagram.to_vec();
            changed[at] ^= 0x41;
            assert!(unpack(changed.into()).is_err(), "{}: byte {at}", vector.file);
        }
    }
}

/// A message that is read has one form, and no bytes cause a panic.
#[test]
fn datagrams_message_with_a_changed_byte_is_refused_or_written_back() {
    let mut read = 0;
    for vector in good() {
        for message in vector.messages.iter().map(Message::bytes) {
            for (at, change) in
                (0..message.len()).flat_map(|at| (1..=u8::MAX).map(move |change| (at, change)))
            {
                let mut changed = message.to_vec();
                changed[at] ^= change;
                if let Ok(found) = Message::parse(changed.clone().into()) {
                    read += 1;
                    assert_eq!(found.bytes(), changed, "{}", vector.file);
                }
            }
        }
    }
    assert!(read > 1000, "only {read} were read");
}

#[test]
fn datagrams_of_the_document_are_valid() {
    let text = fs::read_to_string(root().join("docs/PROTOCOL.md")).expect("docs/PROTOCOL.md is there");
    let blocks: Vec<&str> =
        text.split("```datagram\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(blocks.len() >= 2, "only {}", blocks.len());
    for block in blocks {
        let (head, messages) = read(octets(block)).expect(block);
        assert_eq!(head, HEAD, "{block}");
        let rendered = names::Fields::of(head, &messages, 0).text() + &shown(&octets(block));
        assert!(block.ends_with(&rendered), "{block}\nshould end with\n{rendered}");
    }
}

#[test]
fn datagrams_of_the_documents_table_are_the_files() {
    let text = fs::read_to_string(root().join("docs/PROTOCOL.md")).expect("docs/PROTOCOL.md is there");
    let table = text.split("<!-- datagrams -->").nth(1).and_then(|rest| rest.split("<!-- end -->").next());
    let rows = table.expect("marked").lines().filter(|line| line.starts_with('|'));
    let names_in = |cell: &str, folder: &str| -> Vec<String> {
        let quoted = cell.split('`').skip(1).step_by(2).filter(|name| name.ends_with(".hex"));
        quoted.map(|name| format!("{folder}{name}")).collect()
    };
    let in_row = |row: &str| {
        let cells: Vec<&str> = row.split('|').collect();
        [names_in(cells[2], ""), names_in(cells[3], "bad/")].concat()
    };
    let mut found: Vec<String> = rows.flat_map(in_row).collect();
    found.sort();
    assert_eq!(found, names());
}

#[test]
fn datagrams_checksum_is_the_crc_32_of_everything_else() {
    let datagram = of_content(HEAD, b"\x01\0a");
    let everything_else = [&datagram[..13], &datagram[17..]].concat();
    assert_eq!(datagram[13..17], names::crc_32(&everything_else).to_le_bytes());
    assert_eq!(names::crc_32(b"123456789"), 0xcbf4_3926, "the check value of the catalogue of CRCs");
}
