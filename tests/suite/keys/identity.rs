//! An accepted member at each port: it asks, publishes and receives under its own id alone.

use std::time::Duration;

use bytes::Bytes;
use groupcast::engine::{MemberId, To};
use groupcast::transport::address::Site;
use groupcast::transport::zmq::{self, Context, Socket};
use groupcast::wire::header::{Header, Kind};
use groupcast::wire::packet::probe;
use groupcast::wire::topic::{self, Audience};
use groupcast::wire::{Frames, Writer};
use serde_json::{Value, json};

use super::guarded::{Guarded, keys, middle_of, pack, with_keys};
use crate::harness::{all_end, until};
use crate::processes::hostile::request;

#[test]
fn keys_are_good_for_the_id_the_groups_and_the_roles_of_their_file() {
    let guarded = Guarded::new(&["c1", "c2"]);
    let stage = &guarded.0;
    keys(stage, &["add", "keys", "c3", "--group", "red"]);
    ["c1", "c3"].iter().for_each(|id| pack(stage, "keys", id, &format!("{id}.keys")));
    let mut middle = Vec::from(guarded.middle(1));
    let (_, said) = guarded.client("c2", "c1.keys").ends(77);
    assert!(said.contains("the key of c1 is not good for the id c2"), "{said}");
    let (_, said) = guarded.client("c3", "c3.keys").args(["--group", "blue"]).ends(77);
    assert!(said.contains("the key of c3 is not good for the group blue"), "{said}");
    let standby = stage.program("sequencer").args(["--standby", "--id", "c1", "--keys", "c1.keys"]);
    let (_, said) = standby.ends(77);
    assert!(said.contains("the key of c1 is not good for the role standby"), "{said}");
    let port = stage.port(0).to_string();
    let members = stage.bare("groupcast").args(["members", "--keys", "c1.keys", "--port-base", &port]);
    assert!(members.ends(0).0.contains("no group yet"));
    let mut client = guarded.client("c3", "c3.keys").args(["--group", "red"]).start();
    client.ends(0);
    all_end(&mut middle);
}

#[test]
fn keys_for_any_id_are_good_for_ids_without_a_key() {
    let guarded = Guarded::new(&["+", "c9"]);
    pack(&guarded.0, "keys", "+", "class.keys");
    let mut programs = Vec::from(guarded.middle(2));
    let (_, said) = guarded.client("c9", "class.keys").ends(77);
    assert!(said.contains("the key of + is not good for the id c9"), "{said}");
    programs.extend(["c1", "ann"].map(|id| guarded.client(id, "class.keys").start()));
    all_end(&mut programs);
}

#[test]
fn keys_of_one_member_give_nothing_of_another_one() {
    let guarded = Guarded::new(&["c1", "c2", "c3"]);
    let stage = &guarded.0;
    pack(stage, "keys", "c3", "c3.keys");
    let mut programs = Vec::from(guarded.middle(2));
    let (site, context) = (middle_of(stage), with_keys(stage, "c3.keys"));
    let thief = context.dealer(&site, b"main/c2").unwrap();
    until("the router has refused the thief", || {
        // ZeroMQ announces the route while the socket is read.
        zmq::wait(&[&thief], None, Duration::from_millis(10));
        programs[1].stderr().contains("c3 was refused the place of main/c2 at the router").then_some(())
    });
    let client = |id: &str, commands: &str| {
        stage.client(id, commands).args(["--keys", "keys", "--order", "fifo"]).start()
    };
    // The other one has time, before the first message.
    programs.push(client("c1", "sleep,3\nMulticast,c1,x\nc1,c2,y\n"));
    programs.push(client("c2", "sleep,3\nMulticast,c2,z\n"));
    let mut forger = Forger::connect(&context, &site);
    until("the forwarder has dropped what is forged", || {
        forger.forge();
        let dropped = "a packet was dropped: c3 has published it in the place of c1";
        programs[0].stderr().contains(dropped).then_some(())
    });
    assert!(forger.has_reached_the_router, "what is forged went through the router, too");
    all_end(&mut programs);
    for id in ["c1", "c2"] {
        let mut lines = stage.lines(id, "fifo");
        lines.sort();
        assert_eq!(lines, ["c1###x", "c2###z"]);
    }
    assert_eq!((stage.lines("c1", "uno"), stage.lines("c2", "uno")), (Vec::new(), vec!["c1###y".to_owned()]));
    assert!(thief.hear_routed(b"main/").is_none());
}

/// The number of the run of the group, once it has started.
fn run_of(context: &Context, site: &Site) -> u64 {
    let asker = context.asker(site).unwrap();
    until("the group runs", || {
        let asks = request(json!({ "ask": "members", "group": "", "id": "c3", "skip": 0 }));
        asker.ask(asks.to_string().as_bytes());
        zmq::wait(&[&asker], None, Duration::from_millis(100));
        let answer: Value = serde_json::from_slice(&asker.answer()?.ok()?).unwrap();
        let group = answer["groups"].get(0).filter(|group| group["stage"] == "running")?;
        u64::from_str_radix(group["run"].as_str()?, 16).ok()
    })
}

/// A member that speaks in the place of others.
struct Forger {
    publisher: Socket,
    dealer: Socket,
    run: u64,
    has_reached_the_router: bool,
}

impl Forger {
    fn connect(context: &Context, site: &Site) -> Self {
        let publisher = context.publisher(std::slice::from_ref(site)).unwrap();
        let dealer = context.dealer(site, b"main/c3").unwrap();
        Self { publisher, dealer, run: run_of(context, site), has_reached_the_router: false }
    }

    /// Sends a first message of each other member to the group, and one to each of them alone.
    fn forge(&mut self) {
        let Self { publisher, dealer, run, .. } = self;
        for slot in [0, 1] {
            let direct = data(slot, To::Member(MemberId(1 - slot)), *run);
            ["main/c1", "main/c2"].iter().for_each(|to| dealer.send_to(to.as_bytes(), b"main/", &direct));
            let topic = topic::of_member("main", Audience::All, MemberId(slot));
            publisher.publish(&topic, &data(slot, To::Group, *run));
        }
        // The router answers its probe only behind what came before.
        dealer.send_to(b"", b"main/", &probe(*run, MemberId(2), To::Member(MemberId(2))));
        zmq::wait(&[&self.dealer], None, Duration::from_millis(20));
        while let Some(heard) = self.dealer.hear_routed(b"main/") {
            self.has_reached_the_router |= heard.is_ok_and(|(from, _)| from.is_empty());
        }
    }
}

/// The first packet of a member to the group or to one member: header and body.
fn data(slot: u16, to: To, run: u64) -> Frames {
    let mut out = Writer::default();
    Header { kind: Kind::Data, sender: MemberId(slot), to, run, view: 1 }.write(&mut out);
    out.u64(1);
    out.u8(if to == To::Group { 1 } else { 2 });
    out.u64(1);
    out.u32(1);
    Frames { header: out.finish().0, body: Bytes::from_static(b"\x06forged") }
}
