//! Names of hosts: unknown, known by IPv6 alone, with an address that changes, and with a name server that is silent.
//!
//! Each test runs in a network and with files in `/etc` of its own: it starts itself again in there. Where the machine
//! does not allow that, it says why it is skipped.

use std::env;
use std::fs;
use std::net::UdpSocket;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use groupcast::order::ORDERS;
use rustix::process::Signal;

use crate::harness::{Ports, Program, Stage, all_end, now, pause};
use crate::processes::support::{CLIENTS, commands, is_all_there, short};

/// Tells a test that it is inside, and where the files are that stand in `/etc`.
const INSIDE: &str = "GROUPCAST_TEST_NAMES";
/// Exit code of the preparation where it is not allowed.
const SKIPPED: i32 = 77;
/// No limit and no signal is delayed by more than this, however slow the machine is; a lookup takes much longer.
const SLACK: Duration = Duration::from_secs(5);

const PREPARATION: &str = r#"
PATH="$PATH:/usr/sbin:/sbin"
ip link set lo up || exit 77
for file in hosts resolv.conf nsswitch.conf; do
    mount --bind "$GROUPCAST_TEST_NAMES/$file" "/etc/$file" || exit 77
done
echo inside
exec "$@"
"#;

/// The files in `/etc` that a test has for its own.
struct Etc(PathBuf);

impl Etc {
    /// Writes the addresses of hosts.
    fn hosts(&self, hosts: &str) {
        // Written in place: another file of that name would not be the one that is mounted.
        fs::write(self.0.join("hosts"), format!("127.0.0.1 localhost\n{hosts}")).unwrap();
    }
}

/// A name server that never answers, as long as it is kept.
fn silent_name_server() -> UdpSocket {
    UdpSocket::bind("127.0.0.66:53").unwrap()
}

/// Runs `test` in a network of its own. There it is this test again, by its name.
fn inside(name: &str, test: impl FnOnce(&Etc)) {
    if let Some(folder) = env::var_os(INSIDE) {
        return test(&Etc(folder.into()));
    }
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("hosts", "127.0.0.1 localhost\n");
    write("resolv.conf", "nameserver 127.0.0.66\n");
    write("nsswitch.conf", "hosts: files dns\n");
    let mut why = String::new();
    // Without the rights of root there may still be those of a user who is root in there.
    for rights in [&["--map-root-user"][..], &[]] {
        let mut command = Command::new("unshare");
        command.args(rights).args(["--mount", "--net", "sh", "-c", PREPARATION, "sh"]);
        let (_, module) = module_path!().split_once("::").unwrap();
        command.arg(env::current_exe().unwrap()).args([
            &format!("{module}::{name}"),
            "--exact",
            "--nocapture",
        ]);
        command.env(INSIDE, folder.path()).stdin(Stdio::null());
        let Ok(output) = command.output() else { continue };
        let [stdout, stderr] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
        if !stdout.contains("inside") || output.status.code() == Some(SKIPPED) {
            why = stderr.into_owned();
            continue;
        }
        assert!(output.status.success() && stdout.contains("1 passed"), "{stdout}{stderr}");
        return;
    }
    eprintln!("skipped, because no network with names of its own is to be had: {}", why.trim());
}

#[test]
fn names_silent_server_and_one_of_two_forwarders_killed_run_continues() {
    inside("names_silent_server_and_one_of_two_forwarders_killed_run_continues", |etc| {
        let _server = silent_name_server();
        etc.hosts("127.0.0.1 fwd-b\n");
        let (stage, second, order) = (Stage::new(), Ports::take(), &ORDERS[0]);
        let connect = format!("127.0.0.1:{},fwd-b:{}", stage.port(0), second.first());
        let connect = ["--insecure", "--connect", &connect];
        let clients = ["--clients", &CLIENTS.len().to_string()];
        let mut lost = [
            stage.program_at(&second, "forwarder").args(clients).start(),
            stage.program_at(&second, "router").args(connect).start(),
        ];
        let mut others = vec![
            stage.forwarder(CLIENTS.len()).start(),
            stage.router().args(connect).start(),
            stage.bare("sequencer").args(connect).start(),
        ];
        for (place, id) in CLIENTS.iter().enumerate() {
            // Longer than a silent forwarder is waited for.
            let commands = commands(place) + "sleep,14\n" + &commands(place);
            let client = stage.client(id, commands).args(["--order", order.name]);
            others.push(client.args(connect).start());
        }
        others[3].says("start of main");
        pause(Duration::from_secs(1));
        etc.hosts("");
        lost.iter_mut().for_each(Program::kill);
        all_end(&mut others);
        for id in CLIENTS {
            assert_eq!(stage.lines(id, order.suffix).len(), 600, "{id}");
        }
    });
}

/// Programs that cannot do without the forwarder, and need a name to find it.
fn lookers<'a>(stage: &'a Stage, name: &'a str) -> Vec<crate::harness::Launch<'a>> {
    let (port, to) = (stage.port(0).to_string(), format!("{name}:7000"));
    let connect = ["--insecure", "--connect", name];
    let bind = ["--insecure", "--bind", name];
    vec![
        stage.client("c1", "Multicast,c1,x\n").args(connect),
        stage.router().args(connect),
        stage.sequencer().args(connect),
        stage.bare("groupcast").args(["members", "--timeout", "60s"]).args(connect),
        stage.bare("groupcast").args(["doctor", "--bind", name, "--port-base", &port]),
        stage.forwarder(1).args(bind),
        stage.router().args(bind),
        stage.bare("groupcast").args(["proxy", "--insecure", "--listen", &port, "--to", &to]),
    ]
}

#[test]
fn signal_during_name_lookup_ends_every_program_at_once() {
    inside("signal_during_name_lookup_ends_every_program_at_once", |_| {
        let _server = silent_name_server();
        let stage = Stage::new();
        let mut programs: Vec<Program> =
            lookers(&stage, "nowhere.example").into_iter().map(crate::harness::Launch::start).collect();
        pause(Duration::from_secs(2));
        let began = now();
        programs.iter_mut().for_each(|program| program.signal(Signal::TERM));
        for program in &mut programs {
            program.ends(143);
        }
        assert!(began.elapsed() < SLACK, "{:?}", began.elapsed());
    });
}

#[test]
fn timeout_during_name_lookup_is_kept_and_names_the_host() {
    inside("timeout_during_name_lookup_is_kept_and_names_the_host", |_| {
        let _server = silent_name_server();
        let stage = Stage::new();
        let connect = ["--insecure", "--connect", "nowhere.example"];
        let began = now();
        let mut programs = [
            stage.client("c1", "Multicast,c1,x\n").args(connect).args(["--timeout", "3s"]).start(),
            stage.bare("groupcast").args(["members", "--timeout", "1s"]).args(connect).start(),
            stage
                .forwarder(1)
                .args(["--insecure", "--bind", "nowhere.example", "--start-timeout", "1s"])
                .start(),
        ];
        for program in &mut programs {
            program.ends_saying(69, &["cannot look up nowhere.example: no answer"]);
        }
        assert!(began.elapsed() < Duration::from_secs(3) + SLACK, "{:?}", began.elapsed());
    });
}

#[test]
fn names_ipv6_only_name_is_reached() {
    inside("names_ipv6_only_name_is_reached", |etc| {
        etc.hosts("::1 only6\n");
        let stage = Stage::new();
        let mut programs = vec![
            stage.forwarder(2).args(["--insecure", "--bind", "only6"]).start(),
            stage.router().args(["--insecure", "--bind", "only6"]).start(),
            stage.sequencer().args(["--insecure", "--connect", "only6"]).start(),
        ];
        for (id, commands) in [("c1", "Multicast,c1,x\nc1,c2,y\n"), ("c2", "Multicast,c2,x\n")] {
            programs.push(stage.client(id, commands).args(["--insecure", "--connect", "only6"]).start());
        }
        all_end(&mut programs);
    });
}

#[test]
fn names_several_addresses_the_answering_one_is_used() {
    inside("names_several_addresses_the_answering_one_is_used", |etc| {
        etc.hosts("127.0.0.7 many\n127.0.0.8 many\n::1 many\n");
        let stage = Stage::new();
        for bind in ["127.0.0.8", "[::1]"] {
            let connect = ["--insecure", "--connect", "many"];
            let mut programs = vec![
                stage.client("c1", "Multicast,c1,x\n").args(connect).arg("--force").start(),
                stage.forwarder(1).args(["--bind", bind]).start(),
                stage.router().args(["--bind", bind]).start(),
                stage.sequencer().args(connect).start(),
            ];
            all_end(&mut programs);
        }
    });
}

#[test]
fn names_misspelt_name_is_reported_at_once_and_at_the_end() {
    inside("names_misspelt_name_is_reported_at_once_and_at_the_end", |_| {
        let stage = Stage::new();
        // Nobody listens at the name server's port: there is an answer at once.
        let connect = ["--insecure", "--connect", "lcoalhost"];
        let mut client =
            stage.client("c1", "Multicast,c1,x\n").args(connect).args(["--timeout", "6s"]).start();
        client.says("warning: cannot look up lcoalhost: ");
        assert!(client.is_running(), "{}", client.stderr());
        client.ends_saying(69, &["error: ", "does not answer"]);
        assert!(client.stderr().matches("cannot look up lcoalhost: ").count() >= 2, "{}", client.stderr());
        let (text, _) = stage.bare("groupcast").args(["doctor", "--bind", "lcoalhost"]).ends(69);
        assert!(text.contains("cannot look up lcoalhost: "), "{text}");
    });
}

#[test]
fn names_forwarder_moves_to_new_address_run_continues() {
    inside("names_forwarder_moves_to_new_address_run_continues", |etc| {
        etc.hosts("127.0.0.7 moving\n");
        let (stage, order) = (Stage::new(), &ORDERS[0]);
        let connect = ["--insecure", "--connect", "moving"];
        let start = |bind: &str| {
            let bind = ["--bind", bind];
            let forwarder = stage.forwarder(CLIENTS.len()).args(bind).start();
            [forwarder, stage.router().args(bind).start()]
        };
        let mut before = start("127.0.0.7");
        let mut others = vec![stage.sequencer().args(connect).start()];
        for (place, id) in CLIENTS.iter().enumerate() {
            let client = stage.client(id, commands(place)).args(["--order", order.name]);
            others.push(client.args(connect).start());
        }
        others[1].says("start of main");
        before.iter_mut().for_each(Program::kill);
        etc.hosts("127.0.0.8 moving\n");
        others.extend(start("127.0.0.8"));
        all_end(&mut others);
        is_all_there(&stage, order);
    });
}

#[test]
fn names_host_name_is_resolved() {
    let stage = Stage::new();
    let mut programs = vec![
        stage.forwarder(1).args(["--bind", "localhost"]).start(),
        stage.router().args(["--bind", "localhost"]).start(),
        stage.sequencer().args(["--connect", "localhost"]).start(),
    ];
    programs.push(stage.client("c1", short("c1")).args(["--connect", "localhost"]).start());
    all_end(&mut programs);
}

#[test]
fn names_client_by_name_reaches_the_default_address() {
    let stage = Stage::new();
    let mut programs: Vec<Program> = stage.middle(1).into();
    programs.push(stage.client("c1", short("c1")).args(["--connect", "localhost"]).start());
    all_end(&mut programs);
}
