//! Command files: a file is refused with a place in it, or means the same when it is written again.

use bytes::Bytes;
use groupcast::exit::Exit;
use groupcast::script::{Line, Op, Script};

const ME: &str = "c1";

/// Runs the target: the input is a command file of c1.
pub fn run(input: &[u8]) {
    match Script::parse("input", Bytes::copy_from_slice(input), ME) {
        Ok(script) => {
            assert!(script.receivers().all(|id| id != ME), "nobody sends to itself");
            let _ = script.unknown_receiver(&[ME, "c2"]).map(|failure| failure.to_string());
            let _ = script.to_string();
            let again = Script::parse("again", written(&script).into(), ME).expect("it was read before");
            assert_eq!(meanings(&script), meanings(&again));
        }
        Err(failure) => {
            assert_eq!(failure.exit, Exit::BadData);
            let place = failure.message.strip_prefix("input:").expect("it names the file");
            let line: usize = place.split(':').next().and_then(|line| line.parse().ok()).expect("a line");
            assert!(line <= 1 + input.iter().filter(|&&byte| byte == b'\n').count(), "{failure}");
        }
    }
}

/// Writes the script as a command file, with every text quoted.
fn written(script: &Script) -> Vec<u8> {
    let mut file = Vec::new();
    for line in script.lines() {
        let (head, text) = match &line.op {
            Op::Multicast(text) => (format!("Multicast,{ME},"), text),
            Op::MulticastTo { group, text } => (format!("Multicast@{},{ME},", script.group(*group)), text),
            Op::Send { to, text } => (format!("{ME},{},", script.receiver(*to)), text),
            Op::Sleep(duration) => {
                file.extend(format!("sleep,{}.{:09}\n", duration.as_secs(), duration.subsec_nanos()).bytes());
                continue;
            }
            Op::Leave => {
                file.extend(b"leave\n");
                continue;
            }
        };
        file.extend(head.bytes());
        file.push(b'"');
        for &byte in text {
            file.extend(std::iter::repeat_n(byte, if byte == b'"' { 2 } else { 1 }));
        }
        file.extend(b"\"\n");
    }
    file
}

/// Returns the operations without their line numbers.
fn meanings(script: &Script) -> Vec<String> {
    let meaning = |Line { op, .. }: &Line| match op {
        Op::Multicast(text) => format!("multicast {text:?}"),
        Op::MulticastTo { group, text } => format!("multicast to {} {text:?}", script.group(*group)),
        Op::Send { to, text } => format!("{} {text:?}", script.receiver(*to)),
        Op::Sleep(duration) => format!("{duration:?}"),
        Op::Leave => "leave".to_owned(),
    };
    script.lines().iter().map(meaning).collect()
}
