//! Cluster files, good and bad.

use std::net::IpAddr;

use bytes::Bytes;

use super::file::Cluster;
use crate::exit::{Exit, Failure};
use crate::ids::MemberId;
use crate::place::Source;

/// Looks names up in a small table.
fn look_up(name: &str) -> Result<Vec<IpAddr>, Failure> {
    let found: &[&str] = match name {
        "localhost" => &["127.0.0.1", "::1"],
        "a.example" => &["10.0.0.1", "fd00::1"],
        "b" => &["10.0.0.2"],
        "six" => &["fd00::6"],
        "several" => &["10.0.0.3", "10.0.0.4"],
        "own" => &["127.0.1.1"],
        _ => return Err(Failure::new(Exit::Unavailable, format!("cannot look up {name}"))),
    };
    Ok(found.iter().map(|ip| ip.parse().unwrap()).collect())
}

fn parse(text: &str) -> Result<Cluster, Failure> {
    let source = Source { name: "c.toml".into(), text: Bytes::copy_from_slice(text.as_bytes()) };
    Cluster::parse(&source, look_up)
}

fn good(text: &str) -> Cluster {
    parse(text).unwrap_or_else(|failure| panic!("{failure}"))
}

fn addresses(cluster: &Cluster) -> Vec<String> {
    cluster.servers.iter().map(|server| format!("{} {}", server.id, server.udp)).collect()
}

const WHOLE: &str = r#"
name = "chat"
mtu = 1400
multicast = "239.192.7.7:5600"
interface = "eth0"
ttl = 4
[[server]]
id = "s1"
udp = "10.0.0.1:5600"
web = "10.0.0.1:8080"
[[server]]
id = "ann"
udp = "b:5601"
"#;

#[test]
fn cluster_file_in_toml_has_every_key() {
    let cluster = good(WHOLE);
    assert_eq!((&*cluster.name, cluster.mtu, cluster.ttl), ("chat", 1400, Some(4)));
    assert_eq!(cluster.multicast, Some("239.192.7.7:5600".parse().unwrap()));
    assert_eq!(cluster.interface.as_deref(), Some("eth0"));
    assert_eq!(addresses(&cluster), ["s1 10.0.0.1:5600", "ann 10.0.0.2:5601"]);
    assert_eq!(cluster.servers[0].web.as_deref(), Some("10.0.0.1:8080"));
    assert_eq!((cluster.slot("ann"), cluster.slot("s2")), (Some(MemberId(1)), None));
    assert_eq!(cluster.ids(), ["s1", "ann"]);
    let settings = cluster.udp(MemberId(1), false);
    assert_eq!((settings.size, settings.servers.len()), (1372, 2));
    assert_eq!((settings.head.cluster, settings.head.sender), (cluster.number(), MemberId(1)));
    assert!(settings.group.is_some() && cluster.udp(MemberId(0), true).group.is_none());
}

#[test]
fn cluster_file_with_one_address_a_line_numbers_the_servers() {
    let list = "# our cluster\r\n\r\n127.0.0.1:5600\n  127.0.0.1 \t5601   # the second\n\nlocalhost:5602";
    let cluster = good(list);
    assert_eq!(addresses(&cluster), ["s1 127.0.0.1:5600", "s2 127.0.0.1:5601", "s3 127.0.0.1:5602"]);
    assert_eq!((&*cluster.name, cluster.size(), cluster.multicast), ("cluster", 1172, None));
    let cluster = good("[::1]:5600\n[::1] 5601\nlocalhost 5602");
    assert_eq!(addresses(&cluster), ["s1 [::1]:5600", "s2 [::1]:5601", "s3 [::1]:5602"]);
    assert_eq!(cluster.size(), 1152);
    assert_eq!(good("localhost:5600").servers[0].udp, "127.0.0.1:5600".parse().unwrap());
    assert_eq!(good("six:5600\na.example:5600").servers[1].udp, "[fd00::1]:5600".parse().unwrap());
    assert_eq!(good("a.example:5600\nsix:5600").servers[0].udp, "[fd00::1]:5600".parse().unwrap());
}

#[test]
fn cluster_number_is_of_the_name_and_the_list_alone() {
    let number = |text: &str| good(text).number();
    let list = number("127.0.0.1:5600\nLocalHost 5601");
    assert!(list > 0 && list < 1 << 48);
    let toml = "name = \"cluster\"\nmtu = 9000\n[[server]]\nid = \"s1\"\nudp = \"127.0.0.1:5600\"\n\
                web = \"a:1\"\n[[server]]\nid = \"s2\"\nudp = \"localhost:5601\"";
    assert_eq!(number(toml), list);
    assert_eq!(good("10.0.0.1:1").number(), 0x87a0_71c1_61d8, "as in docs/PROTOCOL.md");
    for other in ["127.0.0.1:5600", "127.0.0.1:5600\n127.0.0.1:5601", "127.0.0.1:5601\nlocalhost:5600"] {
        assert_ne!(number(other), list, "{other}");
    }
    assert_ne!(number(&toml.replace("\"cluster\"", "\"other\"")), list);
    assert_ne!(number(&toml.replace("\"s2\"", "\"s3\"")), list);
}

#[test]
fn cluster_file_written_again_means_the_same() {
    let cluster = good(&WHOLE.replace("b:5601", "10.0.0.2:5601"));
    assert_eq!(good(&cluster.to_string()), cluster);
    let cluster = good("[fd00::1]:5600");
    assert_eq!(good(&cluster.to_string()), cluster);
}

/// Returns a good file in TOML with these lines, then a server.
fn with(lines: &str) -> String {
    format!("name = \"chat\"\n{lines}\n[[server]]\nid = \"s1\"\nudp = \"10.0.0.1:5600\"")
}

#[test]
fn cluster_file_mistake_in_toml_is_shown_in_its_place() {
    for (text, expected) in [
        (with("mtu = 575"), "c.toml:2:7: expected a number from 576 to 9000"),
        (with("mtu = 9001"), "c.toml:2:7: expected a number from 576 to 9000"),
        (with("mtu = \"big\""), "c.toml:2:7: invalid type: string"),
        (with("mtuu = 1200"), "c.toml:2:1: unknown key `mtuu`"),
        (with("ttl = 256"), "c.toml:2:7: expected a number from 0 to 255"),
        (with("interface = \"a b\""), "c.toml:2:13: expected the name of a network interface"),
        (with("multicast = \"10.0.0.9:5600\""), "c.toml:2:13: `10.0.0.9:5600` is no group"),
        (with("multicast = \"239.1.1.1\""), "c.toml:2:13: `239.1.1.1` has no port"),
        (with("multicast = \"[ff12::1]:5600\""), "c.toml:5:7: 10.0.0.1:5600 is no IPv6 address"),
        (with("multicast = \"a.example:5600\""), "c.toml:2:13: `a.example:5600` is no group"),
        (with("name = \"x\""), "c.toml:2:1: duplicate key"),
        (with("").replace("chat", "a/b"), "c.toml:1:8: an id consists of"),
        (with("").replace("\"s1\"", "\"a b\""), "c.toml:4:6: an id consists of"),
        (with("").replace("id = \"s1\"", "web = \"a\""), "missing field `id`"),
        (with("").replace("name = \"chat\"\n", ""), "c.toml:1:1: the cluster has no name"),
        (with("") + "\nweb = \"8080\"", "c.toml:6:7: `8080` has no port"),
        (with("") + "\nurl = \"8080\"", "c.toml:6:1: unknown key `url`"),
        (
            with("") + "\n[[server]]\nid = \"s1\"\nudp = \"10.0.0.2:1\"",
            "c.toml:7:6: `s1` is the id of two servers",
        ),
        (
            with("") + "\n[[server]]\nid = \"s2\"\nudp = \"10.0.0.1:5600\"",
            "c.toml:8:7: 10.0.0.1:5600 is the address of two servers: s1 and s2",
        ),
        ("name = \"chat\"\n".to_owned(), "c.toml:2:1: the file names no server"),
        ("[server]\nid = \"s1\"".to_owned(), "c.toml:1:1: invalid type: map"),
    ] {
        let failure = parse(&text).unwrap_err();
        assert_eq!(failure.exit, Exit::BadData, "{failure}");
        assert!(failure.message.contains(expected), "{text}\nexpected {expected}\n{failure}");
    }
    let shown = parse(&with("mtuu = 1200")).unwrap_err().to_string();
    assert!(shown.contains("2 | mtuu = 1200\n  | ^^^^\n  help: did you mean `mtu`?"), "{shown}");
}

#[test]
fn cluster_file_mistake_in_a_list_is_shown_in_its_place() {
    for (line, expected) in [
        ("10.0.0.2", "c.toml:2:1: `10.0.0.2` has no port: expected HOST:PORT"),
        ("10.0.0.2:", "c.toml:2:1: `` is no port: expected a number from 1 to 65535"),
        ("10.0.0.2:0", "c.toml:2:1: `0` is no port"),
        ("10.0.0.2:65536", "c.toml:2:1: `65536` is no port"),
        ("10.0.0.2:+1", "c.toml:2:1: `+1` is no port"),
        ("10.0.0.2 x # y", "c.toml:2:1: `x` is no port"),
        ("10.0.0.2 1 2", "c.toml:2:12: expected nothing behind HOST PORT"),
        ("10.0.0:1", "c.toml:2:1: `10.0.0` is no host"),
        ("10.0.0.256:1", "c.toml:2:1: `10.0.0.256` is no host"),
        ("ä:1", "c.toml:2:1: `ä` is no host"),
        (":1", "c.toml:2:1: `` is no host"),
        ("fd00::1:5600", "c.toml:2:1: `fd00::1` is no host: an IPv6 address stands in brackets"),
        ("[fd00::x]:1", "c.toml:2:1: `fd00::x` is no IPv6 address"),
        ("[fe80::1%2]:1", "c.toml:2:1: `fe80::1%2` is no IPv6 address"),
        ("[fd00::1]", "c.toml:2:1: `[fd00::1]` has no port"),
        ("  [fd00::1]:1", "c.toml:2:3: [fd00::1]:1 is no IPv4 address, as the others of this file are"),
        ("0.0.0.0:1", "c.toml:2:1: 0.0.0.0 is every address of a machine"),
        ("255.255.255.255:1", "c.toml:2:1: 255.255.255.255 is the address of no single server"),
        ("239.1.1.1:1", "c.toml:2:1: 239.1.1.1 is the address of no single server"),
        ("127.0.0.1:1", "c.toml:2:1: 127.0.0.1:1 cannot be reached from 10.0.0.1:5600"),
        ("own:1", "c.toml:2:1: 127.0.1.1:1 cannot be reached from 10.0.0.1:5600"),
        ("several:1", "c.toml:2:1: several:1 has 2 addresses: 10.0.0.3, 10.0.0.4"),
        ("a.example:5600", "c.toml:2:1: 10.0.0.1:5600 is the address of two servers: s1 and s2"),
        ("[::ffff:10.0.0.1]:5600", "c.toml:2:1: 10.0.0.1:5600 is the address of two servers: s1 and s2"),
    ] {
        let failure = parse(&format!("10.0.0.1:5600\n{line}\n")).unwrap_err();
        assert_eq!(failure.exit, Exit::BadData, "{failure}");
        assert!(failure.message.starts_with(expected), "expected {expected}\n{failure}");
    }
    let link_local = parse("[fe80::1]:5600").unwrap_err();
    assert!(
        link_local.message.contains("fe80::1 means something else on each network interface"),
        "{link_local}"
    );
    let unknown = parse("nowhere:5600").unwrap_err();
    assert_eq!((unknown.exit, &*unknown.message), (Exit::Unavailable, "cannot look up nowhere"));
}

#[test]
fn cluster_file_has_one_to_64_servers() {
    let list = |count: u16| (1..=count).map(|port| format!("127.0.0.1:{port}\n")).collect::<String>();
    assert_eq!(good(&list(64)).servers.len(), 64);
    let many = parse(&list(65)).unwrap_err();
    assert!(many.message.starts_with("c.toml:65:1: a cluster has at most 64 servers"), "{many}");
    for nothing in ["", "\n# nothing\n"] {
        let failure = parse(nothing).unwrap_err();
        assert!(failure.message.contains("the file names no server"), "{failure}");
    }
}

#[test]
fn cluster_file_is_read_from_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cluster");
    let missing = Cluster::read(&path, None).unwrap_err();
    assert_eq!(missing.exit, Exit::NoInput);
    std::fs::write(&path, b"\xef\xbb\xbf127.0.0.1:5600\n").unwrap();
    assert_eq!(addresses(&Cluster::read(&path, None).unwrap()), ["s1 127.0.0.1:5600"]);
    for (content, expected) in [
        (&b"127.0.0.1:5600\n\xff"[..], "/cluster:2:1: this is not UTF-8"),
        (b"1\x000\0.\x000\0", "/cluster:1:1: this is UTF-16"),
        (&vec![b'\n'; 70_000], "it has more than 65536 bytes"),
    ] {
        std::fs::write(&path, content).unwrap();
        let failure = Cluster::read(&path, None).unwrap_err();
        assert!(failure.message.contains(expected), "{failure}");
    }
}
