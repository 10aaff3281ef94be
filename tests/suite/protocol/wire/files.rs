//! The files in `testdata/wire`: comments for people, then the frames in hexadecimal.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::PathBuf;
use std::sync::Once;

use bytes::Bytes;
use groupcast::wire::Frames;

use super::{bad, vectors};

/// A folder for the package's own files, wherever the tests are run from.
pub(super) fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn wire() -> PathBuf {
    static REWRITTEN: Once = Once::new();
    crate::protocol::folder::folder("testdata/wire", &REWRITTEN, expected)
}

/// The text of a file.
pub(super) fn read(name: &str) -> String {
    fs::read_to_string(wire().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The frames of a file.
pub(super) fn read_sample(name: &str) -> Sample {
    Sample::parse(&read(name))
}

/// The names of all files, ascending.
pub(super) fn names() -> Vec<String> {
    let list = |sub: &str| {
        let entries = fs::read_dir(wire().join(sub)).expect("testdata/wire is there");
        let files = entries.map(|entry| entry.expect("readable")).filter(|entry| entry.path().is_file());
        files.map(|entry| format!("{sub}{}", entry.file_name().to_str().expect("ASCII"))).collect::<Vec<_>>()
    };
    let mut all = [list(""), list("bad/")].concat();
    all.sort();
    all
}

/// The expected contents of every file.
pub(super) fn expected() -> BTreeMap<String, String> {
    let line = |bytes: Vec<u8>| format!("{}\n", String::from_utf8(bytes).expect("JSON is text"));
    let mut all = BTreeMap::new();
    all.extend(super::all_packets().into_iter().map(|vector| (vector.file.to_owned(), vector.text())));
    all.extend(
        vectors::controls().into_iter().map(|(file, control)| (file.to_owned(), line(control.to_bytes()))),
    );
    all.extend(bad::packets().into_iter().map(|vector| (vector.file.to_owned(), vector.text())));
    all.extend(bad::controls().into_iter().map(|bad| (bad.file.to_owned(), format!("{}\n", bad.text))));
    all
}

/// The frames of one packet, by their labels.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Sample {
    pub(super) order: String,
    pub(super) header: Vec<u8>,
    pub(super) body: Vec<u8>,
}

impl Sample {
    /// Reads `order: …`, `header: …` and `body: …`; a line without a label goes on with the frame before it.
    pub(super) fn parse(text: &str) -> Self {
        let mut sample = Self::default();
        let mut label = "";
        for line in text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()) {
            let rest = line.split_once(':').map_or(line, |(name, rest)| {
                label = name;
                rest
            });
            match label {
                "order" => sample.order = rest.trim().to_owned(),
                "refused by" => {}
                "header" => sample.header.extend(bytes_of(rest)),
                "body" => sample.body.extend(bytes_of(rest)),
                other => panic!("unknown label {other:?} in {text}"),
            }
        }
        sample
    }

    pub(super) fn frames(&self) -> Frames {
        Frames { header: Bytes::copy_from_slice(&self.header), body: Bytes::copy_from_slice(&self.body) }
    }
}

fn bytes_of(hex: &str) -> impl Iterator<Item = u8> {
    hex.split_whitespace().map(|pair| {
        assert_eq!(pair.len(), 2, "two digits a byte: {pair}");
        u8::from_str_radix(pair, 16).expect("hexadecimal digits")
    })
}

/// `47 43 01`.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
}

/// The label with the bytes of a frame, sixteen a line.
pub(super) fn frame(label: &str, bytes: &[u8]) -> String {
    let mut text = format!("{label}:");
    for (place, line) in bytes.chunks(16).enumerate() {
        let lead = if place == 0 { " ".repeat(8 - label.len() - 1) } else { " ".repeat(8) };
        write!(text, "{}{lead}{}", if place == 0 { "" } else { "\n" }, hex(line)).expect("memory");
    }
    text + "\n"
}
