//! Questions of ZeroMQ whether a key is let in: each has one answer of six frames, and none lets an unknown key in.

use groupcast::transport::curve::PublicKey;
use groupcast::transport::zap::answer;

use super::feed::Feed;

/// The key that is let in.
const KNOWN: [u8; 32] = [7; 32];

/// Runs the target: the input is a list of frames, as bytes with their lengths, or as the numbers of usual ones.
pub fn run(input: &[u8]) {
    let mut feed = Feed(input);
    let mut request: Vec<Vec<u8>> = Vec::new();
    while !feed.is_empty() && request.len() < 12 {
        let usual: [&[u8]; 7] = [b"1.0", b"\x01", b"groupcast", b"10.0.0.9", b"", b"CURVE", &KNOWN];
        let which = feed.below(16);
        let frame = if let Some(frame) = usual.get(which) {
            frame
        } else {
            let length = usize::from(feed.byte());
            feed.take(length)
        };
        request.push(frame.to_vec());
    }
    let admit = |key: PublicKey, _: &str| (key.0 == KNOWN).then(|| "c1".to_owned());
    let [version, id, code, text, user, metadata] = answer(&request, &admit);
    assert!(version == b"1.0" && !text.is_empty() && metadata.is_empty());
    assert_eq!(id, request.get(1).cloned().unwrap_or_default(), "ZeroMQ finds the question by it");
    let is_good = request.len() == 7
        && [(0, &b"1.0"[..]), (2, b"groupcast"), (5, b"CURVE"), (6, &KNOWN)]
            .iter()
            .all(|&(at, frame)| request[at] == frame);
    let expected = if is_good { (&b"200"[..], &b"c1"[..]) } else { (&b"400"[..], &b""[..]) };
    assert_eq!((&code[..], &user[..]), expected, "{request:?}");
}
