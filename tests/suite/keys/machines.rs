//! Two machines, as far as programs can tell: two networks with a cable between them. The commands are those of
//! docs/SECURITY.md.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::harness::{lines, set_variables};

/// Ends with this where there are no such networks.
const SKIPPED: i32 = 77;

/// Runs `here.sh` on the first machine and, when it has the keys for it, `there.sh` on the second one; before that, a
/// forwarder and a client without keys.
const SCRIPT: &str = r#"
PATH="$PROGRAMS:$PATH:/usr/sbin:/sbin"
unshare --net sleep 200 &
second=$!
trap 'kill $second' EXIT
there() { nsenter --net=/proc/$second/ns/net "$@"; }
for turn in $(seq 100); do
    [ "$(readlink /proc/$second/ns/net)" = "$(readlink /proc/self/ns/net)" ] || break
    sleep 0.05
done
ip link add cable type veth peer name cable netns $second || exit 77
ip link set lo up && ip address add 10.0.0.1/24 dev cable && ip link set cable up || exit 77
there ip link set lo up && there ip address add 10.0.0.2/24 dev cable && there ip link set cable up || exit 77
echo inside
forwarder --clients 2 --bind 10.0.0.1
echo "forwarder without keys: $?"
there client --id c2 --commands c2.txt --out results --connect 10.0.0.1
echo "client without keys: $?"
(. ./here.sh && wait) &
here=$!
for turn in $(seq 600); do
    [ -s c2.keys ] && break
    sleep 0.1
done
there sh ./there.sh || exit 1
wait $here
"#;

#[test]
fn keys_between_two_machines_are_used_as_the_document_says() {
    let folder = tempfile::tempdir().unwrap();
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/SECURITY.md");
    let document = fs::read_to_string(document).unwrap();
    let blocks: Vec<&str> = document.split("```").skip(1).step_by(2).collect();
    for (name, block) in [("here.sh", blocks[0]), ("there.sh", blocks[1])] {
        fs::write(folder.path().join(name), block.strip_prefix("text\n").unwrap()).unwrap();
    }
    for id in ["c1", "c2"] {
        fs::write(folder.path().join(format!("{id}.txt")), format!("Multicast,{id},hello\n")).unwrap();
    }
    let mut command = Command::new("unshare");
    set_variables(&mut command);
    command.args(["--map-root-user", "--net", "sh", "-c", SCRIPT]);
    command.env("PROGRAMS", Path::new(env!("CARGO_BIN_EXE_client")).parent().unwrap());
    let Ok(output) = command.current_dir(folder.path()).stdin(Stdio::null()).output() else {
        return skip("there is no unshare");
    };
    let [stdout, stderr] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    if !stdout.contains("inside") || output.status.code() == Some(SKIPPED) {
        return skip(&stderr);
    }
    assert_eq!(output.status.code(), Some(0), "{stdout}{stderr}");
    for refused in ["forwarder without keys: 78", "client without keys: 78"] {
        assert!(stdout.contains(refused), "{stdout}{stderr}");
    }
    assert!(stderr.contains("groupcast keys init"), "{stderr}");
    let delivered = |id| lines(&folder.path().join(format!("results/test_result_{id}_tom.txt")));
    assert_eq!(delivered("c1").len(), 2);
    assert_eq!(delivered("c1"), delivered("c2"));
}

fn skip(why: &str) {
    eprintln!("skipped, because no two networks with a cable are to be had: {}", why.trim());
}
