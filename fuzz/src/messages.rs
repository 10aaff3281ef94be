//! Messages between members of a cluster. A message that can be read is written again unchanged.

use bytes::Bytes;
use groupcast::replica::entry::Content;
use groupcast::replica::message::Message;

/// Runs the target: the input is a message.
pub fn run(input: &[u8]) {
    let Ok(message) = Message::parse(Bytes::copy_from_slice(input)) else { return };
    assert_eq!(message.bytes(), input, "a message has one form");
    if let Message::Entry(entry) = &message
        && let Content::Multicast(batch) | Content::Direct(_, batch) = &entry.content
    {
        assert_eq!(batch.messages().count(), batch.count() as usize);
        assert_eq!(entry.digest(), entry.clone().digest());
    }
}
