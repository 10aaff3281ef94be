//! Records of a journal. A record that can be read is written again unchanged, and any records can be shown and checked.

use bytes::Bytes;
use groupcast::fuzzing;
use groupcast::replica::record::Record;

use super::feed::Feed;

/// Runs the target: the input is records, each after its length in two bytes.
pub fn run(input: &[u8]) {
    let mut feed = Feed(input);
    let mut records = Vec::new();
    while !feed.is_empty() {
        let length = usize::from(feed.short());
        records.push(Bytes::copy_from_slice(feed.take(length)));
    }
    for record in &records {
        if let Ok(read) = Record::parse(record.clone()) {
            assert_eq!(read.bytes(), record, "a record has one form");
        }
    }
    let told = fuzzing::journal(&records);
    assert!(told.len() >= 2 * records.len(), "a line and an object for each");
    let steers = |line: &String| line.chars().any(char::is_control);
    assert!(!told[..records.len()].iter().any(steers), "no line steers a terminal");
}
