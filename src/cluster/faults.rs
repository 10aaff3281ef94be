//! Faults of the network between the members of a cluster on one machine, played by the members themselves: a file
//! says which datagrams each drops when they arrive. `groupcast cluster part`, `loss` and `heal` write it, and a member
//! that was started with `--faults FILE` looks at it five times a second. So a test needs neither privileges nor a
//! network of its own.
//!
//! ```json
//! {"v": 1, "blocked": [{"from": "s1", "to": "s3"}], "loss": 0.1}
//! ```
//!
//! Without the file there are no faults. `blocked` are the ways that are cut, each in one direction. `loss` is the share
//! of all other datagrams that is lost at random.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::ids::{MemberId, Time};
use crate::prng::Prng;
use crate::talk::{self, Talk};
use crate::transport::udp::{Sieve, Udp};
use crate::units;

/// The version of the file.
const VERSION: u64 = 1;
/// Most bytes of a file: all ways between 64 members with the longest ids.
const MOST_BYTES: u64 = 1 << 20;
/// The time between two looks at the file.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// The faults of a cluster: the content of the file.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Faults {
    v: u64,
    /// The ways that are cut.
    #[serde(default)]
    pub(crate) blocked: Vec<Way>,
    /// The share of all other datagrams that is lost, from 0 to 1.
    #[serde(default)]
    pub(crate) loss: f64,
}

/// The way from one member to another, by their ids.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Way {
    pub(crate) from: String,
    pub(crate) to: String,
}

impl Default for Faults {
    fn default() -> Self {
        Self::new(Vec::new(), 0.0)
    }
}

impl Faults {
    /// Returns faults of this version: the ways that are cut, and the share that is lost, from 0 to 1.
    pub(crate) const fn new(blocked: Vec<Way>, loss: f64) -> Self {
        Self { v: VERSION, blocked, loss }
    }

    /// Parses the content of a file.
    ///
    /// # Errors
    /// The mistake.
    fn parse(text: &[u8]) -> Result<Self, String> {
        let faults: Self = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        if faults.v != VERSION {
            return Err(format!("it has the version {}, and this program knows {VERSION}", faults.v));
        }
        if !(0.0..=1.0).contains(&faults.loss) {
            return Err(format!("the loss {} is no share from 0 to 1", faults.loss));
        }
        Ok(faults)
    }

    /// Reads a file; without one, there are no faults.
    ///
    /// # Errors
    /// The reason why it cannot be read, or its mistake.
    pub(crate) fn read(path: &Path) -> Result<Self, String> {
        match read(path) {
            Ok(text) => text.map_or_else(|| Ok(Self::default()), |text| Self::parse(&text)),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Returns the share that is lost, in parts per million.
    pub(crate) fn loss_in_parts(&self) -> u32 {
        (self.loss * 1e6).round() as u32
    }

    /// Returns the ids of the members from which nothing comes to `me`, sorted.
    fn not_heard_by(&self, me: &str) -> Vec<&str> {
        let ways = self.blocked.iter().filter(|way| way.to == me && way.from != me);
        let mut ids: Vec<&str> = ways.map(|way| &*way.from).collect();
        ids.sort_unstable_by_key(|id| talk::natural(id));
        ids.dedup();
        ids
    }
}

/// Returns the content of a file; none if it is not there.
fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let mut text = Vec::new();
    file.take(MOST_BYTES + 1).read_to_end(&mut text)?;
    if text.len() as u64 > MOST_BYTES {
        return Err(io::Error::other(format!(
            "it has more than {MOST_BYTES} bytes, as no file of faults has"
        )));
    }
    Ok(Some(text))
}

/// The file of faults, as a member looks at it.
#[derive(Debug)]
pub(super) struct Watch {
    path: PathBuf,
    me: String,
    prng: Prng,
    /// The content of the last look, or why there was none.
    seen: Result<Option<Vec<u8>>, String>,
    faults: Faults,
    /// The number of members that were known when the faults were applied.
    known: usize,
    next_look: Time,
}

impl Watch {
    /// Watches the file `path` for the member `me`.
    pub(super) fn new(path: &Path, me: &str) -> Self {
        let (path, me) = (path.to_owned(), me.to_owned());
        let prng = Prng::new(xxh3_64(me.as_bytes()));
        let (seen, faults) = (Ok(None), Faults::default());
        Self { path, me, prng, seen, faults, known: 0, next_look: Time::ZERO }
    }

    /// Begins a life, which has losses of its own.
    pub(super) fn begin_life(&mut self, life: u32) {
        self.prng = Prng::new(xxh3_64(format!("{} {life}", self.me).as_bytes()));
        self.known = 0;
    }

    /// Looks at the file if it is time, and has the socket do what it says. `names` are the members by slot.
    pub(super) fn look(&mut self, now: Time, names: &[String], udp: &mut Udp, talk: &Talk) {
        if now < self.next_look {
            return;
        }
        self.next_look = now.after(LOOK_EVERY);
        let seen = read(&self.path).map_err(|error| error.to_string());
        let has_changed = seen != self.seen && self.take(seen, talk);
        if has_changed || self.known != names.len() {
            self.known = names.len();
            udp.sift(self.sieve(names));
        }
    }

    /// Takes a file that is not as it was; returns whether the faults are others. A mistake changes nothing.
    fn take(&mut self, seen: Result<Option<Vec<u8>>, String>, talk: &Talk) -> bool {
        let parse = |text: &Vec<u8>| Faults::parse(text);
        let parsed =
            seen.as_ref().map_or_else(|why| Err(why.clone()), |text| text.as_ref().map(parse).transpose());
        self.seen = seen;
        match parsed {
            Ok(faults) => {
                let faults = faults.unwrap_or_default();
                let has_changed = faults != self.faults;
                self.faults = faults;
                if has_changed {
                    talk.say(format!("faults: {}", self.words()));
                }
                has_changed
            }
            Err(why) => {
                talk.warn(format!(
                    "cannot read the faults in {}: {why}; they stay as they were",
                    self.path.display()
                ));
                false
            }
        }
    }

    /// Returns what drops datagrams as the faults say; none if they say nothing to this member.
    fn sieve(&mut self, names: &[String]) -> Option<Sieve> {
        // A member that is not known yet may be added.
        let slot = |id: &str| names.iter().position(|name| name == id).map(|slot| MemberId(slot as u16));
        let blocked: BTreeSet<MemberId> =
            self.faults.not_heard_by(&self.me).into_iter().filter_map(slot).collect();
        let loss = self.faults.loss_in_parts();
        (loss > 0 || !blocked.is_empty()).then(|| Sieve::new(blocked, loss, self.prng.fork()))
    }

    fn words(&self) -> String {
        let blocked = self.faults.not_heard_by(&self.me);
        let blocked = (!blocked.is_empty()).then(|| format!("hears nothing of {}", talk::list(&blocked)));
        let loss = self.faults.loss_in_parts();
        let loss = (loss > 0).then(|| format!("loses {} of what comes", units::percent(loss)));
        let words: Vec<String> = blocked.into_iter().chain(loss).collect();
        if words.is_empty() { "none here".to_owned() } else { words.join(", ") }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use std::net::UdpSocket;

    use super::*;
    use crate::ids::To;
    use crate::talk::{Color, Level};
    use crate::transport::udp::Settings;
    use crate::transport::wakeup::wait;
    use crate::wire::datagram::{Head, Packer};

    #[test]
    fn file_of_faults_is_strict() {
        let parse = |text: &str| Faults::parse(text.as_bytes());
        assert_eq!(parse(r#"{"v": 1}"#), Ok(Faults::default()));
        let faults = parse(r#"{"v": 1, "blocked": [{"from": "s2", "to": "s1"}], "loss": 0.1}"#).unwrap();
        assert_eq!((faults.not_heard_by("s1"), faults.not_heard_by("s2")), (vec!["s2"], vec![]));
        assert_eq!(faults.loss_in_parts(), 100_000);
        assert_eq!(parse(&serde_json::to_string(&faults).unwrap()), Ok(faults));
        for (text, why) in [
            ("", "EOF"),
            ("{}", "missing field `v`"),
            (r#"{"v": 2}"#, "version 2"),
            (r#"{"v": 1, "loss": 1.5}"#, "no share"),
            (r#"{"v": 1, "loss": -0.1}"#, "no share"),
            (r#"{"v": 1, "lost": 0.1}"#, "unknown field"),
            (r#"{"v": 1, "blocked": [["s1", "s2", "s3"]]}"#, "trailing"),
            (r#"{"v": 1, "blocked": [{"from": "s1"}]}"#, "missing field `to`"),
        ] {
            let found = parse(text).unwrap_err();
            assert!(found.contains(why), "{text}: {found}");
        }
    }

    /// Two members on loopback, s1 and s2.
    fn two_members() -> [Udp; 2] {
        let reserved = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
        let servers: Vec<_> = reserved.iter().map(|socket| socket.local_addr().unwrap()).collect();
        drop(reserved);
        [0, 1].map(|slot| {
            let head = Head { cluster: 7, epoch: 1, sender: MemberId(slot) };
            let settings = Settings { head, servers: servers.clone(), size: 1200, group: None, key: None };
            Udp::open(settings).unwrap_or_else(|failure| panic!("{failure}"))
        })
    }

    /// Sends so many datagrams of one message from s2 to s1; returns how many s1 hears.
    fn heard(members: &mut [Udp; 2], count: usize) -> usize {
        let [me, other] = members;
        let taken = |me: &Udp| me.counts().received + me.counts().sifted;
        let (before, mut heard) = (taken(me), 0);
        let mut packer = Packer::new(Head { cluster: 7, epoch: 1, sender: MemberId(1) }, 1200);
        for _ in 0..count {
            assert!(packer.push(&[1]));
            other.send(To::Group, &packer.take());
            assert!(wait(me.fds(), Duration::from_secs(20)), "the datagram comes");
            while me.receive(|_, _, _| heard += 1) {}
        }
        assert_eq!(taken(me) - before, count as u64);
        heard
    }

    #[test]
    fn member_drops_what_the_file_says_and_keeps_to_the_last_good_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("faults.json");
        let (mut members, names) = (two_members(), vec!["s1".to_owned(), "s2".to_owned()]);
        let talk = Talk::new("test", Level::Quiet, Color::Never);
        let mut watch = Watch::new(&path, "s1");
        let mut now = Time::ZERO;
        for (text, low, high) in [
            (None, 100, 100),
            (Some(r#"{"v": 1, "blocked": [{"from": "s2", "to": "s1"}]}"#), 0, 0),
            (Some("{"), 0, 0),
            (
                Some(r#"{"v": 1, "blocked": [{"from": "s1", "to": "s2"}, {"from": "s9", "to": "s1"}]}"#),
                100,
                100,
            ),
            (Some(r#"{"v": 1, "loss": 0.5}"#), 20, 80),
            (Some(r#"{"v": 1, "loss": 1}"#), 0, 0),
            (None, 100, 100),
        ] {
            match text {
                Some(text) => fs::write(&path, text).unwrap(),
                None => drop(fs::remove_file(&path)),
            }
            watch.look(now, &names, &mut members[0], &talk);
            let found = heard(&mut members, 100);
            assert!((low..=high).contains(&found), "{text:?}: {found} of 100 are heard");
            // Too early for another look.
            fs::write(&path, r#"{"v": 1, "loss": 0.99}"#).unwrap();
            watch.look(now.after(LOOK_EVERY / 2), &names, &mut members[0], &talk);
            assert_ne!(watch.faults.loss_in_parts(), 990_000);
            now = now.after(LOOK_EVERY);
        }
    }

    #[test]
    fn member_that_is_added_later_is_blocked_from_then_on() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("faults.json");
        fs::write(&path, r#"{"v": 1, "blocked": [{"from": "s2", "to": "s1"}]}"#).unwrap();
        let talk = Talk::new("test", Level::Quiet, Color::Never);
        let (mut members, mut watch) = (two_members(), Watch::new(&path, "s1"));
        watch.look(Time::ZERO, &["s1".to_owned()], &mut members[0], &talk);
        assert_eq!(heard(&mut members, 1), 1);
        let names = ["s1".to_owned(), "s2".to_owned()];
        watch.look(Time::ZERO.after(LOOK_EVERY), &names, &mut members[0], &talk);
        assert_eq!(heard(&mut members, 1), 0);
    }
}
