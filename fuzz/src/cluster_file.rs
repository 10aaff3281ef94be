//! Cluster files in both forms: a file is refused with a place in it, or means the same when it is written again.

use groupcast::exit::Exit;
use groupcast::fuzzing;

/// Runs the target: the input is a cluster file.
pub fn run(input: &[u8]) {
    match fuzzing::cluster(input) {
        Ok(cluster) => {
            assert!((1..=64).contains(&cluster.servers.len()));
            assert!(cluster.number() < 1 << 48);
            let mut again = fuzzing::cluster(cluster.to_string().as_bytes()).expect("it was read before");
            assert_eq!(again.to_string(), cluster.to_string());
            assert_eq!((again.size(), again.ids()), (cluster.size(), cluster.ids()));
            again.servers.sort_by_key(|server| server.udp);
            again.servers.dedup_by_key(|server| server.udp);
            assert_eq!(again.servers.len(), cluster.servers.len(), "each has an address of its own");
        }
        Err(failure) => {
            assert_eq!(failure.exit, Exit::BadData);
            let place = failure.message.strip_prefix("input:").expect("it names the file");
            let line: usize = place.split(':').next().and_then(|line| line.parse().ok()).expect("a line");
            assert!(line <= 1 + input.iter().filter(|&&byte| byte == b'\n').count(), "{failure}");
        }
    }
}
