//! Real programs on loopback: ports nobody else has, output in files, an end for everything that was started.
//!
//! A [`Stage`] is one place to play a run on: a folder and four ports. Programs are started on it, waited for with
//! a limit that only catches hangs, and killed when the test lets go of them. A stage whose test fails shows what
//! every program said; a stage whose test passes insists that no program spoke of a panic or a bug.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::net::TcpListener;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU32, AtomicUsize};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// No program that works takes this long for anything.
const LIMIT: Duration = Duration::from_secs(100);
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// First ports are multiples of four in this range, below those of `groupcast run` and those that
/// systems give out by themselves.
const PORTS: std::ops::Range<u16> = 10_000..21_000;

/// Waits for time to pass: only where nothing can be waited for.
#[allow(clippy::disallowed_methods, reason = "the one place where tests sleep")]
pub(crate) fn pause(length: Duration) {
    std::thread::sleep(length);
}

/// The present time.
#[allow(clippy::disallowed_methods, reason = "the one place where tests read the clock")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Waits until `condition` gives something; fails with `what` if that takes too long.
pub(crate) fn until<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let began = now();
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(began.elapsed() < LIMIT, "{what}: not within {LIMIT:?}");
        pause(LOOK_AGAIN);
    }
}

/// Does `work` for each number below `count`, `width` at a time.
pub(crate) fn side_by_side(count: usize, width: usize, work: impl Fn(usize) + Sync) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..width {
            scope.spawn(|| {
                while let number = next.fetch_add(1, Relaxed)
                    && number < count
                {
                    work(number);
                }
            });
        }
    });
}

/// Four consecutive free ports, ours until this is dropped, also among several test runs on one machine.
pub(crate) struct Ports {
    base: u16,
    _lock: File,
}

impl Ports {
    pub(crate) fn take() -> Self {
        let locks = std::env::temp_dir().join("groupcast-test-ports");
        fs::create_dir_all(&locks).unwrap();
        let blocks = (PORTS.end - PORTS.start) / 4;
        let start = (random() % u64::from(blocks)) as u16;
        (0..blocks)
            .map(|step| PORTS.start + (start + step) % blocks * 4)
            .find_map(|base| Self::try_take(&locks, base))
            .expect("four free ports in a row")
    }

    /// The first of them.
    pub(crate) const fn first(&self) -> u16 {
        self.base
    }

    fn try_take(locks: &Path, base: u16) -> Option<Self> {
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(locks.join(base.to_string()))
            .ok()?;
        lock.try_lock().ok()?;
        let is_free = |port| TcpListener::bind(("127.0.0.1", port)).is_ok();
        (base..base + 4).all(is_free).then_some(Self { base, _lock: lock })
    }
}

/// The keys of all programs of all tests, if the variable GROUPCAST_TEST_WITH_KEYS asks for them; see docs/TESTING.md.
static KEYS: LazyLock<Option<TempDir>> = LazyLock::new(|| std::env::var_os(TEST_KEYS).map(|_| make_keys()));
const TEST_KEYS: &str = "GROUPCAST_TEST_WITH_KEYS";

/// Makes a folder with keys of the commonest members, and one for any other id and role.
fn make_keys() -> TempDir {
    let dir = tempfile::Builder::new().prefix("groupcast-keys-").tempdir().unwrap();
    let keys = |command: &str, words: &str| {
        let made = Command::new(executable("groupcast"))
            .args(["keys", command])
            .arg(dir.path())
            .args(words.split_whitespace())
            .output();
        assert!(made.unwrap().status.success(), "groupcast keys {command} {words}");
    };
    keys("init", "");
    keys("add", "c1 c2 c3 c4");
    keys("add", "sequencer --role sequencer,standby");
    keys("add", "+ --role client,sequencer,standby");
    dir
}

/// Another number in each process and each call.
fn random() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0)
}

/// A folder and four ports for one run, or several in a row.
pub(crate) struct Stage {
    dir: TempDir,
    ports: Ports,
    started: AtomicU32,
}

impl Stage {
    /// An empty folder, and four ports.
    pub(crate) fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("groupcast-test-").tempdir().unwrap();
        Self { dir, ports: Ports::take(), started: AtomicU32::new(0) }
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The port with this distance from the first.
    pub(crate) fn port(&self, offset: u16) -> u16 {
        self.ports.base + offset
    }

    /// Where clients leave their results.
    pub(crate) fn out(&self) -> PathBuf {
        self.dir().join("out")
    }

    /// A new file.
    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.dir().join(name);
        fs::write(&path, content).unwrap();
        path
    }

    /// A program as it stands, without arguments.
    pub(crate) fn bare(&self, program: &str) -> Launch<'_> {
        self.launch(program, Path::new(executable(program)))
    }

    /// An example, which stands in a folder beside the programs.
    pub(crate) fn example(&self, name: &str) -> Launch<'_> {
        self.launch(name, &Path::new(executable("client")).with_file_name("examples").join(name))
    }

    fn launch(&self, name: &str, executable: &Path) -> Launch<'_> {
        let mut command = Command::new(executable);
        command.stdin(Stdio::null()).current_dir(self.dir());
        set_variables(&mut command);
        if name == "sequencer" {
            command.env("GROUPCAST_LOG", self.dir().join("log"));
        }
        Launch { stage: self, name: name.to_owned(), command, out: None, stdout: None }
    }

    /// A program that knows its ports.
    pub(crate) fn program(&self, program: &str) -> Launch<'_> {
        self.program_at(&self.ports, program)
    }

    /// The same at other ports.
    pub(crate) fn program_at(&self, ports: &Ports, program: &str) -> Launch<'_> {
        self.bare(program).args(["--port-base", &ports.base.to_string()])
    }

    /// `groupcast proxy` at `ports` in front of the middle.
    pub(crate) fn proxy(&self, ports: &Ports) -> Launch<'_> {
        let (listen, to) = (ports.base.to_string(), self.port(0).to_string());
        self.bare("groupcast").args(["proxy", "--json", "--listen", &listen, "--to", &to])
    }

    pub(crate) fn forwarder(&self, clients: usize) -> Launch<'_> {
        self.program("forwarder").args(["--clients", &clients.to_string()])
    }

    pub(crate) fn router(&self) -> Launch<'_> {
        self.program("router")
    }

    pub(crate) fn sequencer(&self) -> Launch<'_> {
        self.program("sequencer")
    }

    /// Forwarder, router and sequencer, started.
    pub(crate) fn middle(&self, clients: usize) -> [Program; 3] {
        [self.forwarder(clients).start(), self.router().start(), self.sequencer().start()]
    }

    /// The client `id` with these commands.
    pub(crate) fn client(&self, id: &str, commands: impl AsRef<[u8]>) -> Launch<'_> {
        self.client_at(&self.ports, id, commands)
    }

    /// The same where the middle seems to be at other ports.
    pub(crate) fn client_at(&self, ports: &Ports, id: &str, commands: impl AsRef<[u8]>) -> Launch<'_> {
        let file = self.file(&format!("{id}.txt"), commands);
        let mut launch = self.program_at(ports, "client").args(["--id", id]).arg("--commands").arg(file);
        launch.name = id.to_owned();
        launch.out = Some(self.out());
        launch
    }

    /// The lines of a result file of `id`.
    pub(crate) fn lines(&self, id: &str, suffix: &str) -> Vec<String> {
        let path = self.out().join(format!("test_result_{id}_{suffix}.txt"));
        lines(&path)
    }

    /// The events in the history of `id`.
    pub(crate) fn history(&self, id: &str) -> Vec<Value> {
        events(&self.out().join(format!("history_{id}.jsonl")))
    }

    /// The names of the files in the clients' folder, sorted.
    pub(crate) fn files(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.out()) else { return Vec::new() };
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// Standard error of each program so far, in the order in which they were started.
    fn said(&self) -> Vec<(String, String)> {
        let mut files: Vec<PathBuf> =
            fs::read_dir(self.dir()).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.retain(|path| path.extension() == Some(OsStr::new("stderr")));
        files.sort();
        let name = |path: &Path| path.file_stem().unwrap().to_string_lossy().into_owned();
        files.iter().map(|path| (name(path), text(path))).collect()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let said = self.said();
        if std::thread::panicking() {
            for (name, text) in said {
                eprintln!("--- {name} said:\n{text}");
            }
            return;
        }
        for (name, text) in said {
            assert!(!text.contains("panicked") && !text.contains("bug"), "{name} said:\n{text}");
        }
    }
}

/// Keeps our own GROUPCAST_ variables from a program, and gives it the keys of all if there are any.
pub(crate) fn set_variables(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"GROUPCAST_") {
            command.env_remove(name);
        }
    }
    if let Some(folder) = KEYS.as_ref() {
        command.env("GROUPCAST_KEYS", folder.path());
    }
}

fn executable(program: &str) -> &'static str {
    match program {
        "forwarder" => env!("CARGO_BIN_EXE_forwarder"),
        "router" => env!("CARGO_BIN_EXE_router"),
        "sequencer" => env!("CARGO_BIN_EXE_sequencer"),
        "client" => env!("CARGO_BIN_EXE_client"),
        "groupcast" => env!("CARGO_BIN_EXE_groupcast"),
        #[cfg(feature = "web")]
        "chat-server" => env!("CARGO_BIN_EXE_chat-server"),
        #[cfg(feature = "web")]
        "chat" => env!("CARGO_BIN_EXE_chat"),
        other => panic!("no program {other}"),
    }
}

/// The lines of a text file.
pub(crate) fn lines(path: &Path) -> Vec<String> {
    text(path).lines().map(str::to_owned).collect()
}

fn text(path: &Path) -> String {
    let bytes = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The events of a history, complete or not.
pub(crate) fn events(path: &Path) -> Vec<Value> {
    let parse = |line: String| {
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{}: {error}: {line}", path.display()))
    };
    lines(path).into_iter().map(parse).collect()
}

/// A program about to start.
pub(crate) struct Launch<'a> {
    stage: &'a Stage,
    name: String,
    command: Command,
    out: Option<PathBuf>,
    stdout: Option<Stdio>,
}

impl Launch<'_> {
    pub(crate) fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    pub(crate) fn args<S: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = S>) -> Self {
        self.command.args(arguments);
        self
    }

    /// Gives the program another name in this test.
    pub(crate) fn named(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    pub(crate) fn stdin(mut self, stdin: impl Into<Stdio>) -> Self {
        self.command.stdin(stdin);
        self
    }

    /// Gives a sequencer no folder for logs, which all others have.
    pub(crate) fn without_log(mut self) -> Self {
        self.command.env_remove("GROUPCAST_LOG");
        self
    }

    /// Leaves the results elsewhere.
    pub(crate) fn out(mut self, dir: impl Into<PathBuf>) -> Self {
        self.out = Some(dir.into());
        self
    }

    /// Sends standard output elsewhere than to a file.
    pub(crate) fn stdout(mut self, stdout: impl Into<Stdio>) -> Self {
        self.stdout = Some(stdout.into());
        self
    }

    /// Starts the program through a shell that prepares something for it; `preparation` ends with `exec "$@"`, and
    /// redirections if there are any.
    pub(crate) fn through_shell(mut self, preparation: &str) -> Self {
        self.add_out();
        let mut shell = Command::new("sh");
        shell.args(["-c", preparation, "sh"]).arg(self.command.get_program()).args(self.command.get_args());
        shell.stdin(Stdio::null()).current_dir(self.stage.dir());
        for (name, value) in self.command.get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        self.command = shell;
        self
    }

    fn add_out(&mut self) {
        if let Some(out) = self.out.take() {
            self.command.arg("--out").arg(out);
        }
    }

    pub(crate) fn start(mut self) -> Program {
        self.add_out();
        let number = self.stage.started.fetch_add(1, Relaxed);
        let path = |kind: &str| self.stage.dir().join(format!("{number:03}-{}.{kind}", self.name));
        let (stdout, stderr) = (path("stdout"), path("stderr"));
        let file = File::create(&stdout).unwrap();
        self.command.stdout(self.stdout.unwrap_or_else(|| file.into()));
        self.command.stderr(File::create(&stderr).unwrap());
        let child = self.command.spawn().unwrap_or_else(|error| panic!("{}: {error}", self.name));
        Program { name: self.name, child, ended: None, peak_kib: 0, stdout, stderr, began: now() }
    }

    /// Runs the program to its end, which must come with exit code `code`; gives back standard output and error.
    pub(crate) fn ends(self, code: i32) -> (String, String) {
        let mut program = self.start();
        program.ends(code);
        (program.stdout(), program.stderr())
    }
}

/// A program that was started. It does not outlive this.
pub(crate) struct Program {
    pub(crate) name: String,
    child: Child,
    ended: Option<ExitStatus>,
    peak_kib: u64,
    stdout: PathBuf,
    stderr: PathBuf,
    pub(crate) began: Instant,
}

impl Program {
    /// Whether it has not ended yet.
    pub(crate) fn is_running(&mut self) -> bool {
        self.look().is_none()
    }

    fn look(&mut self) -> Option<ExitStatus> {
        self.measure();
        if self.ended.is_none() {
            self.ended = self.child.try_wait().unwrap();
        }
        self.ended
    }

    /// Notes its peak memory, which the system forgets when it ends.
    fn measure(&mut self) {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
        if let Some(peak) = peak.and_then(|peak| peak.parse().ok()) {
            self.peak_kib = self.peak_kib.max(peak);
        }
    }

    /// Waits for its end; its exit code as a shell shows it.
    pub(crate) fn wait(&mut self) -> i32 {
        let what = format!("{} ends", self.name);
        let status = until(&what, || self.look());
        status.code().unwrap_or_else(|| 128 + status.signal().unwrap())
    }

    /// Waits for its end, which must come with exit code `code`.
    pub(crate) fn ends(&mut self, code: i32) {
        let found = self.wait();
        assert_eq!(found, code, "exit code of {}, which said:\n{}", self.name, self.stderr());
    }

    /// Waits for its end, which must come with exit code `code` and with each of `words` on standard error.
    pub(crate) fn ends_saying(&mut self, code: i32, words: &[&str]) {
        self.ends(code);
        let said = self.stderr();
        for word in words {
            assert!(said.contains(word), "{} did not say {word:?} but:\n{said}", self.name);
        }
    }

    /// Waits until it has said `word` on standard error.
    pub(crate) fn says(&mut self, word: &str) {
        let what = format!("{} says {word:?}", self.name);
        until(&what, || {
            let said = self.stderr().contains(word);
            assert!(
                said || self.is_running(),
                "{} ended without saying {word:?}:\n{}",
                self.name,
                self.stderr()
            );
            said.then_some(())
        });
    }

    pub(crate) fn stdout(&self) -> String {
        text(&self.stdout)
    }

    pub(crate) fn stderr(&self) -> String {
        text(&self.stderr)
    }

    /// The most memory it has had, in MiB.
    pub(crate) fn peak_mib(&self) -> u64 {
        self.peak_kib / 1024
    }

    /// How much memory it has now, in KiB, and how many files it has open.
    pub(crate) fn usage(&self) -> (u64, u64) {
        let folder = format!("/proc/{}", self.child.id());
        let status = fs::read_to_string(format!("{folder}/status")).unwrap_or_default();
        let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"));
        let files = fs::read_dir(format!("{folder}/fd")).map_or(0, Iterator::count);
        (memory.and_then(|memory| memory.parse().ok()).unwrap_or_default(), files as u64)
    }

    pub(crate) fn signal(&mut self, signal: Signal) {
        if self.is_running() {
            // It is ours until it has been waited for, so nobody else can have its number.
            kill_process(Pid::from_child(&self.child), signal).unwrap();
        }
    }

    /// Ends it without a warning.
    pub(crate) fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.wait();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if self.ended.is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Waits for the end of all, which must come with exit code 0.
pub(crate) fn all_end(programs: &mut [Program]) {
    until("all programs end", || {
        let running = programs.iter_mut().filter_map(|program| program.is_running().then_some(())).count();
        (running == 0).then_some(())
    });
    for program in programs {
        program.ends(0);
    }
}
