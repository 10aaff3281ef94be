//! Addresses beyond this machine are refused unless the user consents. No test listens where other machines could come in:
//! with consent, the address is one that this machine does not have.

use std::time::Duration;

use crate::harness::{Launch, Stage, now};

/// Every program that opens or uses a port, with an address beyond this machine, and a word of its refusal.
fn reaching_out(stage: &Stage) -> Vec<(Launch<'_>, &'static str)> {
    let mut all = Vec::new();
    for host in ["0.0.0.0", "*", "[::]", "192.0.2.1", "fwd.example"] {
        let lets_in = "lets other machines in, and nobody would need a key";
        all.push((stage.forwarder(1).args(["--bind", host]), lets_in));
        all.push((stage.router().args(["--bind", host]), lets_in));
    }
    for hosts in ["192.0.2.1", "127.0.0.1,fwd.example", "localhost:5559,[2001:db8::1]:5559"] {
        let connect = ["--connect", hosts];
        let is_open = "may be another machine, and nothing on the way there would be encrypted";
        let tool = |tool: &[&str]| stage.bare("groupcast").args(tool).args(connect);
        for launch in [
            stage.client("c1", "Multicast,c1,x\n").args(connect),
            stage.router().args(connect),
            stage.sequencer().args(connect),
            stage.sequencer().arg("--standby").args(connect),
            tool(&["members"]),
            tool(&["post", "--as", "ann", "hello"]),
        ] {
            all.push((launch, is_open));
        }
    }
    let proxy =
        |listen: &str, to: &str| stage.bare("groupcast").args(["proxy", "--listen", listen, "--to", to]);
    all.push((proxy("0.0.0.0:6000", "5559"), "lets other machines in"));
    all.push((proxy("6000", "192.0.2.1:5559"), "would be encrypted"));
    all
}

/// The members of clusters with an address beyond this machine.
fn clusters_reaching_out(stage: &Stage) -> Vec<(Launch<'_>, &'static str)> {
    let mut all = Vec::new();
    let commands = stage.file("s1.txt", "Multicast,s1,x\n");
    let word = "lets other machines in, and nobody would need a key";
    for (name, address) in [("four", "192.0.2.1:5600"), ("six", "[2001:db8::1]:5600")] {
        let file = stage.file(name, format!("{address}\n"));
        let member = |program| stage.bare(program).args(["--id", "s1"]).arg("--cluster").arg(&file);
        let member = |program| member(program).arg("--data").arg(stage.dir().join("data"));
        let client = member("client").args(["--order", "tentative"]).arg("--commands").arg(&commands);
        all.push((client.arg("--out").arg(stage.dir().join("out")), word));
        if cfg!(feature = "web") {
            all.push((member("chat-server").args(["--web", "127.0.0.1:1"]), word));
        }
    }
    if cfg!(feature = "web") {
        all.extend(pages_reaching_out(stage));
    }
    all
}

/// Chat servers of this machine whose page others reach.
fn pages_reaching_out(stage: &Stage) -> impl Iterator<Item = (Launch<'_>, &'static str)> {
    let file = stage.file("here", "127.0.0.1:5600\n");
    ["192.0.2.1:1", "0.0.0.0:1", "[::]:1", "host.example:1"].into_iter().map(move |web| {
        let server = stage.bare("chat-server").args(["--id", "s1", "--web", web]).arg("--cluster").arg(&file);
        (server.arg("--data").arg(stage.dir().join("data")), "the page is plain HTTP")
    })
}

#[test]
fn keys_addresses_beyond_this_machine_are_refused_at_once() {
    let stage = Stage::new();
    for (launch, word) in reaching_out(&stage).into_iter().chain(clusters_reaching_out(&stage)) {
        let began = now();
        let (printed, said) = launch.ends(78);
        assert!(printed.is_empty() && said.contains(word) && said.contains("--insecure"), "{said}");
        assert!(began.elapsed() < Duration::from_secs(20), "no name was looked up: {said}");
    }
    assert!(stage.files().is_empty(), "a client that was refused leaves no file");
}

#[test]
fn keys_consent_lets_a_program_go_on() {
    let stage = Stage::new();
    let no_address_of_this_machine = |launch: Launch<'_>| {
        let (_, said) = launch.args(["--bind", "192.0.2.1"]).ends(69);
        assert!(said.contains("is --bind an address of this machine?"), "{said}");
    };
    no_address_of_this_machine(stage.forwarder(1).arg("--insecure"));
    no_address_of_this_machine(stage.router().env("GROUPCAST_INSECURE", "1"));
    let (_, said) = stage.router().env("GROUPCAST_INSECURE", "0").args(["--bind", "192.0.2.1"]).ends(78);
    assert!(said.contains("--insecure"), "{said}");
    let client = stage.client("c1", "Multicast,c1,x\n").args(["--insecure", "--timeout", "2500ms"]);
    let (_, said) = client.args(["--connect", "192.0.2.1"]).ends(69);
    assert!(said.contains("does not answer"), "{said}");
}

#[test]
fn keys_loopback_and_paths_need_no_consent() {
    let stage = Stage::new();
    for host in ["127.0.0.9", "[::1]", "localhost", "ipc://socket"] {
        let (connect, bind) = (["--connect", host], ["--bind", host]);
        let mut programs = vec![
            stage.forwarder(1).args(bind).start(),
            stage.router().args(bind).start(),
            stage.sequencer().args(connect).start(),
            stage.client("c1", "Multicast,c1,x\n").args(connect).arg("--force").start(),
        ];
        crate::harness::all_end(&mut programs);
    }
}
