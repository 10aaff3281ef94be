//! Sockets of clusters on loopback.

use std::net::UdpSocket;

use super::*;
use crate::transport::wakeup::wait;
use crate::wire::datagram::{Packer, of_content, room_of};

/// Generous: a datagram on loopback is there at once.
const LIMIT: Duration = Duration::from_secs(20);
const CLUSTER: u64 = 0x1234;

const fn head(slot: u16) -> Head {
    Head { cluster: CLUSTER, epoch: 1, sender: MemberId(slot) }
}

/// Returns sockets of so many members with ports of their own, before they are opened.
fn reserved(ip: IpAddr, count: usize) -> Vec<UdpSocket> {
    (0..count).map(|_| UdpSocket::bind((ip, 0)).unwrap()).collect()
}

fn addresses(reserved: &[UdpSocket]) -> Vec<SocketAddr> {
    reserved.iter().map(|socket| socket.local_addr().unwrap()).collect()
}

fn settings(servers: &[SocketAddr], slot: u16, group: Option<SocketAddr>) -> Settings {
    let group = group.map(|address| Group { address, interface: None, ttl: None });
    Settings { head: head(slot), servers: servers.to_vec(), size: 1200, group, key: None }
}

/// Returns the sockets of all members of a cluster.
fn cluster(ip: &str, count: usize, is_multicast: bool) -> Vec<Udp> {
    try_cluster(ip, count, is_multicast).unwrap_or_else(|failure| panic!("{failure}"))
}

fn try_cluster(ip: &str, count: usize, is_multicast: bool) -> Result<Vec<Udp>, Failure> {
    let reserved = reserved(ip.parse().unwrap(), count);
    let servers = addresses(&reserved);
    drop(reserved);
    let port = servers[0].port();
    let [high, low] = port.to_be_bytes();
    let group: IpAddr = if servers[0].is_ipv4() {
        [239, 255, high, low].into()
    } else {
        [0xff12, 0, 0, 0, 0, 0, 0x6763, port].into()
    };
    let group = is_multicast.then(|| SocketAddr::new(group, port));
    (0..count as u16).map(|slot| Udp::open(settings(&servers, slot, group))).collect()
}

/// Returns the next messages, as many as these.
fn gather(udp: &mut Udp, count: usize) -> Vec<(MemberId, Bytes)> {
    let mut all = Vec::new();
    while all.len() < count {
        assert!(wait(udp.fds(), LIMIT), "{} of {count} messages; {:?}", all.len(), udp.counts());
        while udp.receive(|sender, _, message| all.push((sender, message))) {}
    }
    all
}

/// Receives what is there, without waiting for more.
fn drain(udp: &mut Udp) -> usize {
    let mut count = 0;
    while udp.receive(|_, _, _| count += 1) {}
    count
}

fn pack(slot: u16, texts: &[Bytes]) -> Vec<Bytes> {
    let mut packer = Packer::new(head(slot), 1200);
    texts.iter().for_each(|text| assert!(packer.push(text)));
    packer.take()
}

/// Texts of which each fills a datagram, and a short one.
fn texts(count: u8) -> Vec<Bytes> {
    let long = (1..count).map(|number| Bytes::from(vec![number; room_of(1200)]));
    long.chain([Bytes::from_static(b"short")]).collect()
}

fn is_available(ip: &str) -> bool {
    UdpSocket::bind((ip, 0)).is_ok()
}

#[test]
fn udp_unicast_and_multicast_deliver_the_same_to_all_others() {
    for (ip, is_multicast) in [("127.0.0.1", false), ("127.0.0.1", true), ("::1", false)] {
        if !is_available(ip) {
            continue;
        }
        let mut members = cluster(ip, 4, is_multicast);
        let datagrams = pack(1, &texts(40));
        assert_eq!(datagrams.len(), 40);
        members[1].send(To::Group, &datagrams);
        let expected: Vec<_> = texts(40).into_iter().map(|text| (MemberId(1), text)).collect();
        for slot in [0, 2, 3] {
            assert_eq!(gather(&mut members[slot], 40), expected, "{ip} {is_multicast} {slot}");
        }
        assert_eq!(drain(&mut members[1]), 0, "no member receives its own");
        let sent = if is_multicast { 40 } else { 120 };
        assert_eq!(members[1].counts(), Counts { sent, ..Counts::default() });
        assert_eq!(members[2].counts(), Counts { received: 40, ..Counts::default() });
    }
}

/// Multicasts of IPv6 are tested between network namespaces.
#[test]
fn udp_multicast_of_ipv6_on_loopback_is_refused_with_a_remedy() {
    if is_available("::1") {
        let refused = try_cluster("::1", 2, true).unwrap_err();
        assert!(refused.message.starts_with("cannot join the group ff12::6763:"), "{refused}");
        assert!(refused.to_string().contains("has no IPv6 multicast: use 127.0.0.1"), "{refused}");
    }
}

#[test]
fn udp_datagrams_to_one_member_reach_no_other() {
    let mut members = cluster("127.0.0.1", 3, true);
    members[0].send(To::Member(MemberId(2)), &pack(0, &texts(3)));
    assert_eq!(gather(&mut members[2], 3).len(), 3);
    assert_eq!(drain(&mut members[1]), 0);
    members[0].send(To::Member(MemberId(7)), &pack(0, &texts(3)));
    members[0].send(To::Group, &[]);
    assert_eq!(members[0].counts(), Counts { sent: 3, ..Counts::default() });
}

#[test]
fn udp_datagrams_of_strangers_are_dropped_and_counted() {
    let reserved = reserved("127.0.0.1".parse().unwrap(), 2);
    let servers = addresses(&reserved);
    let mut reserved = reserved.into_iter();
    drop(reserved.next());
    let mut udp = Udp::open(settings(&servers, 0, None)).unwrap();
    let peer = reserved.next().unwrap();
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    let good = of_content(head(1), b"\x01\0x");
    let of = |head| of_content(head, b"\x01\0x").to_vec();
    let changed = |at: usize| {
        let mut datagram = good.to_vec();
        datagram[at] ^= 1;
        datagram
    };
    let send = |socket: &UdpSocket, datagram: &[u8]| socket.send_to(datagram, servers[0]).unwrap();
    send(&stranger, &good);
    send(&peer, &of(Head { cluster: CLUSTER + 1, ..head(1) }));
    send(&peer, &of(head(0)));
    send(&peer, &changed(good.len() - 1));
    send(&peer, &changed(2));
    send(&peer, b"");
    send(&peer, &[0; 2000]);
    send(&peer, &good);
    assert_eq!(gather(&mut udp, 1), [(MemberId(1), Bytes::from_static(b"x"))]);
    assert_eq!(udp.counts(), Counts { received: 1, strangers: 3, malformed: 4, ..Counts::default() });
    // One that names a member from another address is told of, once.
    let from = stranger.local_addr().unwrap();
    let words = format!(
        "ignored: a datagram from {from} says that it is of the member at {}; does its own cluster file have that address?",
        servers[1]
    );
    assert_eq!(udp.troubles(), [words]);
    for datagram in
        [&good[..], &changed(good.len() - 1), &of(head(7)), &of(Head { cluster: 1, ..head(1) }), b"GC"]
    {
        send(&stranger, datagram);
    }
    send(&peer, &good);
    gather(&mut udp, 1);
    assert_eq!((udp.troubles(), udp.counts().strangers), (vec![], 8));
}

#[test]
fn udp_dead_member_does_no_harm_to_the_others() {
    let mut members = cluster("127.0.0.1", 3, false);
    drop(members.remove(1));
    for _ in 0..50 {
        members[0].send(To::Group, &pack(0, &texts(4)));
        assert_eq!(gather(&mut members[1], 4).len(), 4);
        assert_eq!(drain(&mut members[0]), 0);
    }
    assert_eq!(members[0].counts(), Counts { sent: 400, ..Counts::default() });
    assert!(members[0].troubles().is_empty());
}

#[test]
fn udp_buffer_holds_as_many_datagrams_as_it_says_and_reports_what_it_drops() {
    for size in [100, 1200, 8972] {
        let mut members = cluster("127.0.0.1", 2, false);
        members[1].settings.size = size;
        let room = members[1].room_for();
        assert!(room > 10, "{room}");
        let datagram =
            [of_content(head(0), &[&((size - 19) as u16).to_le_bytes()[..], &vec![1; size - 19]].concat())];
        assert_eq!(datagram[0].len(), size);
        (0..room).for_each(|_| members[0].send(To::Group, &datagram));
        assert_eq!(members[1].overflow(), 0, "{size}: {room} have room");
        (0..2 * room).for_each(|_| members[0].send(To::Group, &datagram));
        let dropped = members[1].overflow();
        let received = drain(&mut members[1]) as u64;
        assert_eq!((received + dropped, members[1].counts().overflow), (3 * room as u64, dropped), "{size}");
        assert!(dropped > 0 && members[1].overflow() == 0, "{size}: {dropped} dropped");
    }
}

#[test]
fn udp_datagram_that_is_too_long_is_lost_with_a_remedy() {
    let mut members = cluster("127.0.0.1", 2, false);
    for _ in 0..2 {
        members[0].send(To::Group, &[vec![0; 65_520].into()]);
        members[0].send(To::Group, &pack(0, &texts(1)));
    }
    assert_eq!(members[0].counts(), Counts { sent: 2, lost: 2, ..Counts::default() });
    let troubles = members[0].troubles();
    assert!(matches!(&troubles[..], [one] if one.contains("smaller mtu")), "{troubles:?}");
    members[0].send(To::Group, &[vec![0; 65_520].into()]);
    assert!(members[0].troubles().is_empty(), "it is told once");
}

#[test]
fn udp_member_that_joins_again_receives_each_multicast_once() {
    let mut members = cluster("127.0.0.1", 2, true);
    members[1].rejoin();
    members[0].rejoin();
    members[0].send(To::Group, &pack(0, &texts(2)));
    assert_eq!(gather(&mut members[1], 2).len(), 2);
    assert_eq!(drain(&mut members[1]), 0);
    assert!(members[1].troubles().is_empty());
}

#[test]
fn udp_taken_address_is_refused_with_the_process_that_has_it() {
    let taken = reserved("127.0.0.1".parse().unwrap(), 1);
    let refused = Udp::open(settings(&addresses(&taken), 0, None)).unwrap_err();
    assert_eq!(refused.exit, Exit::Unavailable);
    let pid = format!("(pid {})", std::process::id());
    assert!(refused.message.contains("cannot listen on udp://127.0.0.1:"), "{refused}");
    assert!(!cfg!(target_os = "linux") || refused.message.ends_with(&pid), "{refused}");
    // A documentation address, which no machine has.
    let elsewhere = Udp::open(settings(&["192.0.2.77:5600".parse().unwrap()], 0, None)).unwrap_err();
    assert!(elsewhere.to_string().contains("this machine does not have the address"), "{elsewhere}");
}

#[test]
fn udp_group_on_an_interface_that_is_not_there_is_refused() {
    let reserved = reserved("127.0.0.1".parse().unwrap(), 1);
    let servers = addresses(&reserved);
    drop(reserved);
    let group = "239.255.0.1:5600".parse().unwrap();
    let mut settings = settings(&servers, 0, Some(group));
    settings.group.as_mut().unwrap().interface = Some("nosuch0".to_owned());
    let refused = Udp::open(settings).unwrap_err();
    assert!(refused.message.starts_with("cannot join the group 239.255.0.1 at nosuch0: "), "{refused}");
}

#[test]
fn udp_datagrams_of_one_length_go_together() {
    let of = |lengths: &[usize]| lengths.iter().map(|&length| vec![0; length].into()).collect::<Vec<Bytes>>();
    for (lengths, most, expected) in [
        (&[1200][..], 64, 1),
        (&[1200, 1200], 64, 2),
        (&[1200, 1200], 1, 1),
        (&[1200, 300], 64, 2),
        (&[1200, 300, 300], 64, 2),
        (&[300, 1200], 64, 1),
        (&[1200, 0], 64, 1),
        (&[0, 0], 64, 2),
        (&[100; 40], 64, MOST_TOGETHER),
        (&[9000; 40], 64, 7),
        (&[65_500, 65_500], 64, 1),
    ] {
        assert_eq!(together(&of(lengths), 0, most), expected, "{lengths:?}");
    }
}

#[test]
fn udp_members_may_swap_their_addresses() {
    let reserved = reserved("127.0.0.1".parse().unwrap(), 3);
    let servers = addresses(&reserved);
    drop(reserved);
    let mut udp = Udp::open(settings(&servers, 0, None)).unwrap();
    udp.set(MemberId(1), servers[2]);
    udp.set(MemberId(2), servers[1]);
    let slot = |address: SocketAddr| udp.slots.get(&(address.ip(), address.port())).copied();
    assert_eq!((slot(servers[2]), slot(servers[1])), (Some(MemberId(1)), Some(MemberId(2))));
    // Nobody takes the address of another one.
    udp.set(MemberId(3), servers[0]);
    assert_eq!(udp.slots.get(&(servers[0].ip(), servers[0].port())), Some(&MemberId(0)));
}

const KEY: Key = Key([7; 32]);

/// Returns the members of a cluster with these keys.
fn with_keys(keys: &[Option<Key>], is_multicast: bool) -> Vec<Udp> {
    let reserved = reserved([127, 0, 0, 1].into(), keys.len());
    let servers = addresses(&reserved);
    drop(reserved);
    let [high, low] = servers[0].port().to_be_bytes();
    let group = is_multicast.then(|| SocketAddr::new([239, 255, high, low].into(), servers[0].port()));
    let open = |(slot, key): (u16, &Option<Key>)| {
        let settings = Settings { key: key.clone(), ..settings(&servers, slot, group) };
        assert_eq!(settings.packed(), if key.is_some() { 1170 } else { 1200 });
        Udp::open(settings).unwrap_or_else(|failure| panic!("{failure}"))
    };
    (0..).zip(keys).map(open).collect()
}

/// Lets all members tell something until each has heard all others.
fn meet(members: &mut [Udp]) {
    let mut heard = vec![BTreeSet::new(); members.len()];
    while heard.iter().any(|heard| heard.len() + 1 < members.len()) {
        for (slot, member) in (0..).zip(&mut *members) {
            member.send(To::Group, &pack(slot, &[Bytes::from_static(b"meet")]));
        }
        for (member, heard) in members.iter_mut().zip(&mut heard) {
            assert!(wait(member.fds(), LIMIT), "{:?}", member.counts());
            while member.receive(|sender, _, _| heard.extend([sender])) {}
        }
    }
    members.iter_mut().for_each(|member| {
        while wait(member.fds(), Duration::from_millis(20)) {
            drain(member);
        }
    });
}

#[test]
fn udp_members_with_one_key_hear_one_another_within_the_longest_datagram() {
    for is_multicast in [false, true] {
        let mut members = with_keys(&vec![Some(KEY); 3], is_multicast);
        meet(&mut members);
        let texts: Vec<Bytes> = (0..40).map(|number| vec![number; room_of(1170)].into()).collect();
        let mut packer = Packer::new(head(1), members[1].settings.packed());
        texts.iter().for_each(|text| assert!(packer.push(text)));
        let datagrams = packer.take();
        assert_eq!(datagrams.len(), 40);
        let before = members[1].counts().sent;
        members[1].send(To::Group, &datagrams);
        assert_eq!(members[1].counts().sent - before, if is_multicast { 40 } else { 80 });
        let expected: Vec<_> = texts.into_iter().map(|text| (MemberId(1), text)).collect();
        for slot in [0, 2] {
            assert_eq!(gather(&mut members[slot], 40), expected, "{is_multicast} {slot}");
        }
        for member in &mut members {
            let Counts { lost, strangers, malformed, other_keys, .. } = member.counts();
            assert_eq!((lost, strangers, malformed, other_keys), (0, 0, 0, 0));
            assert!(member.troubles().is_empty());
        }
        // As long as they may be, and no longer.
        members[0].send(To::Member(MemberId(1)), &datagrams[..1]);
        let mut buffer = [0; 2000];
        assert!(wait(members[1].fds(), LIMIT));
        let (length, _) =
            rustix::net::recv(members[1].fds().next().unwrap(), &mut buffer, rustix::net::RecvFlags::empty())
                .unwrap();
        assert_eq!(length, 1200);
    }
}

#[test]
fn udp_datagrams_with_another_key_or_none_are_dropped_counted_and_told_once() {
    for (keys, words) in [
        ([Some(KEY), None], ["have no key, or are forged", "have a key, and this member has none"]),
        ([Some(KEY), Some(Key([8; 32]))], ["have another key, or are forged"; 2]),
    ] {
        let mut members = with_keys(&keys, false);
        for (slot, words) in [(0u16, words[1]), (1, words[0])].map(|(slot, words)| (slot, words)) {
            let receiver = usize::from(1 - slot);
            for round in 0..3 {
                members[usize::from(slot)].send(To::Group, &pack(slot, &texts(1)));
                assert!(wait(members[receiver].fds(), LIMIT));
                assert_eq!(drain(&mut members[receiver]), 0);
                let troubles = members[receiver].troubles();
                assert_eq!(troubles.len(), usize::from(round == 0), "{troubles:?}");
                assert!(troubles.iter().all(|told| told.contains(words)), "{troubles:?}");
            }
            let Counts { received, other_keys, sent, .. } = members[receiver].counts();
            assert_eq!((received, other_keys), (0, 3), "{sent}");
        }
    }
}
