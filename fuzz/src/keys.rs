//! Key files, of members and of clusters: a file is refused with a place in it, or means the same when it is written again.

use groupcast::exit::Exit;
use groupcast::fuzzing;

/// Runs the target: the input is the kind, then a key file.
pub fn run(input: &[u8]) {
    let Some((kind, file)) = input.split_first() else { return };
    let of_cluster = kind % 2 == 1;
    match fuzzing::key_file(file, of_cluster) {
        Ok(text) => {
            let again = fuzzing::key_file(text.as_bytes(), of_cluster).expect("it was read before");
            assert_eq!(again, text);
        }
        Err(failure) => {
            assert_eq!(failure.exit, Exit::BadData);
            let place = failure.message.strip_prefix("input:").expect("it names the file");
            let line: usize = place.split(':').next().and_then(|line| line.parse().ok()).expect("a line");
            assert!(line <= 1 + file.iter().filter(|&&byte| byte == b'\n').count(), "{failure}");
        }
    }
}
