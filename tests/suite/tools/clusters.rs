//! Where the machine allows it: members of a cluster in networks of their own, joined by a bridge, with IP multicast of
//! both families. Elsewhere the tests say why they are skipped.
//!
//! Each member is this test program again, with variables that say which member it is.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use groupcast::cluster::file::Cluster;
use groupcast::ids::{MemberId, To};
use groupcast::transport::udp::Udp;
use groupcast::wire::datagram::Packer;

use crate::harness::{now, set_variables};
use crate::tools::run::text;

/// Ends with this where there are no such networks.
const SKIPPED: i32 = 77;
/// The variables of a member: its slot, and the folder in which it meets the others.
const SLOT: &str = "GROUPCAST_TEST_SLOT";
const FOLDER: &str = "GROUPCAST_TEST_FOLDER";
/// The datagrams that each member receives from each other in a stage.
const ENOUGH: u64 = 10;
const LIMIT: Duration = Duration::from_secs(60);

/// Starts three members, each in a network of its own; then takes away the network card of the last one, and gives it
/// another.
const SCRIPT: &str = r#"
PATH="$PATH:/usr/sbin:/sbin"
folder=$1; shift
mount -t tmpfs tmpfs /run && ip link set lo up && ip link add br0 type bridge mcast_snooping 0 && ip link set br0 up || exit 77
card() {
    ip link add "v$1" type veth peer name card netns "n$1" && ip link set "v$1" master br0 up || return 1
    ip -n "n$1" link set card up && ip -n "n$1" addr add "10.77.0.$1/24" dev card &&
        ip -n "n$1" addr add "fd77::$1/64" dev card nodad
}
for i in 1 2 3; do
    ip netns add "n$i" && ip -n "n$i" link set lo up && card $i || exit 77
done
for i in 1 2 3; do
    GROUPCAST_TEST_FOLDER=$folder GROUPCAST_TEST_SLOT=$((i - 1)) ip netns exec "n$i" "$@" >"$folder/log.$i" 2>&1 &
done
have() {
    for try in $(seq 400); do
        [ -e "$folder/$1.0" ] && [ -e "$folder/$1.1" ] && [ -e "$folder/$1.2" ] && return
        sleep 0.1
    done
    echo "not all have reached stage $1"; cat "$folder"/log.*; return 1
}
have 1 || exit 1
ip -n n3 link del card
card 3 || exit 1
touch "$folder/again"
have 2 || exit 1
wait
cat "$folder"/log.*
"#;

#[test]
fn clusters_members_in_networks_of_their_own_hear_one_another_and_join_again() {
    for (family, group, hosts) in [
        ("IPv4", "multicast = \"239.192.7.7:5600\"\n", ["10.77.0.1", "10.77.0.2", "10.77.0.3"]),
        ("IPv6", "multicast = \"[ff12::7:7]:5600\"\n", ["[fd77::1]", "[fd77::2]", "[fd77::3]"]),
        (
            "IPv6 by interface",
            "multicast = \"[ff15::7:7]:5600\"\ninterface = \"card\"\n",
            ["[fd77::1]", "[fd77::2]", "[fd77::3]"],
        ),
        (
            "IPv4 by interface",
            "multicast = \"239.192.7.7:5600\"\ninterface = \"card\"\n",
            ["10.77.0.1", "10.77.0.2", "10.77.0.3"],
        ),
        (
            "unicast",
            "",
            ["[fd77::1]", "10.77.0.2", "10.77.0.3"]
                .map(|host| if host.starts_with('[') { "10.77.0.1" } else { host }),
        ),
    ] {
        let servers = (1..=3)
            .zip(hosts)
            .map(|(number, host)| format!("[[server]]\nid = \"s{number}\"\nudp = \"{host}:5600\"\n"));
        let file = format!("name = \"test\"\n{group}{}", servers.collect::<String>());
        let Some(stdout) = run(&file) else { return };
        assert_eq!(stdout.matches("stage 2 of slot").count(), 3, "{family}: {stdout}");
    }
}

/// Runs three members with this cluster file; none if there are no such networks.
fn run(file: &str) -> Option<String> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("cluster.toml"), file).unwrap();
    let mut command = Command::new("unshare");
    set_variables(&mut command);
    command.args(["--map-root-user", "--net", "--mount", "sh", "-c", SCRIPT, "sh"]);
    command.arg(folder.path()).arg(env::current_exe().unwrap());
    command.args(["--exact", "tools::clusters::clusters_member_of_a_test", "--nocapture"]);
    let Ok(output) = command.stdin(Stdio::null()).output() else {
        skip("there is no unshare");
        return None;
    };
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    if output.status.code() == Some(SKIPPED) || !folder.path().join("log.1").exists() {
        skip(&stderr);
        return None;
    }
    assert_eq!(output.status.code(), Some(0), "{file}{stdout}{stderr}");
    Some(stdout)
}

fn skip(why: &str) {
    eprintln!("skipped, because no network namespaces with a bridge are to be had: {}", why.trim());
}

/// A member, if the variables say so: it multicasts, and reaches a stage when it has heard enough of all others.
#[test]
fn clusters_member_of_a_test() {
    let Some((slot, folder)) = env::var(SLOT).ok().zip(env::var_os(FOLDER).map(PathBuf::from)) else {
        return;
    };
    let slot = MemberId(slot.parse().unwrap());
    let cluster =
        Cluster::read(&folder.join("cluster.toml"), None).unwrap_or_else(|failure| panic!("{failure}"));
    let settings = cluster.udp(slot, false);
    let mut packer = Packer::new(settings.head, settings.size);
    let mut udp = Udp::open(settings).unwrap_or_else(|failure| panic!("{failure}"));
    for stage in [1, 2] {
        reach(&mut udp, &mut packer, stage == 2, &folder);
        fs::write(folder.join(format!("{stage}.{}", slot.0)), "").unwrap();
        println!("stage {stage} of slot {}: {:?}, {:?}", slot.0, udp.counts(), udp.troubles());
        // The others may still wait for datagrams.
        while !(0..3).all(|slot| folder.join(format!("{stage}.{slot}")).exists()) {
            exchange(&mut udp, &mut packer, &mut BTreeMap::new());
        }
    }
}

/// Exchanges datagrams until enough have come from both others; in the second stage, from when the script says so.
fn reach(udp: &mut Udp, packer: &mut Packer, is_second: bool, folder: &Path) {
    let begun = now();
    let mut heard = BTreeMap::new();
    let (mut silent, mut has_begun) = (0, !is_second);
    while heard.values().filter(|&&count| count >= ENOUGH).count() < 2 {
        let before = udp.counts().received;
        exchange(udp, packer, &mut heard);
        if !has_begun {
            has_begun = folder.join("again").exists();
            heard.clear();
        }
        silent = if udp.counts().received == before { silent + 1 } else { 0 };
        if silent == 20 {
            silent = 0;
            udp.rejoin();
        }
        assert!(begun.elapsed() < LIMIT, "{heard:?} {:?} {:?}", udp.counts(), udp.troubles());
    }
}

/// Sends a multicast, and receives for 20 milliseconds.
fn exchange(udp: &mut Udp, packer: &mut Packer, heard: &mut BTreeMap<MemberId, u64>) {
    (0..20).for_each(|_| assert!(packer.push(&[7; 900])));
    udp.send(To::Group, &packer.take());
    let until = now() + Duration::from_millis(20);
    while let Some(left) = until.checked_duration_since(now()) {
        let mut polled: Vec<_> = udp
            .fds()
            .map(|fd| rustix::event::PollFd::from_borrowed_fd(fd, rustix::event::PollFlags::IN))
            .collect();
        let limit = rustix::event::Timespec { tv_sec: 0, tv_nsec: left.subsec_nanos().into() };
        rustix::event::poll(&mut polled, Some(&limit)).unwrap();
        drop(polled);
        udp.receive(|sender, _, message: Bytes| {
            assert_eq!(message, [7; 900][..]);
            *heard.entry(sender).or_default() += 1;
        });
    }
}
