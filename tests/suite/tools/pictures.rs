//! Pictures and explanations of runs: of a real one, in a real browser, and of a simulated one that went wrong.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::browser::{FLAGS, Leash, installed};
use crate::harness::{Program, Stage, all_end, until};

/// Asks a page for errors, before anything of it runs.
const LISTEN: &str = "<script>
window.errors = [];
window.onerror = (message) => { errors.push(String(message)); };
console.error = (...words) => { errors.push(words.join(' ')); };
</script>";

/// Uses a page as a person would, and writes what it saw into it.
const PROBE: &str = r#"<pre id="probe"></pre><script>
const picture = document.querySelector("svg.run");
const seen = {};
const count = (what) => picture.querySelectorAll(what).length;
seen.marks = count(".mark"); seen.bars = count(".bar"); seen.lines = count(".line"); seen.rings = count(".ring");
seen.heads = [...picture.querySelectorAll(".head")].map((head) => head.textContent);
seen.header = document.querySelector("header").innerText;
const texts = [...picture.querySelectorAll(".marks text")];
seen.size = Math.min(...texts.map((text) => parseFloat(getComputedStyle(text).fontSize)));
const overlap = (one, other) => {
  const [a, b] = [one.getBoundingClientRect(), other.getBoundingClientRect()];
  return a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 4 && b.top < a.bottom - 4;
};
seen.overlaps = 0;
for (const lane of picture.querySelectorAll(".marks")) {
  const labels = [...lane.querySelectorAll("text")];
  for (let i = 1; i < labels.length; i++) for (let j = Math.max(0, i - 4); j < i; j++) {
    if (labels[i].parentNode !== labels[j].parentNode && overlap(labels[i], labels[j])) seen.overlaps++;
  }
}
const point = (part) => {
  const options = { bubbles: true, clientX: 300, clientY: 300 };
  part.dispatchEvent(new MouseEvent("mouseover", options));
  part.dispatchEvent(new MouseEvent("mousemove", options));
};
const about = document.getElementById("about");
point(picture.querySelector(".bar") || picture.querySelector(".mark"));
seen.about = about.hidden ? null : about.textContent;
seen.lit = count(".lit");
seen.faded = picture.classList.contains("faded");
point(picture.querySelector(".paper"));
seen.gone = about.hidden && count(".lit") === 0;
const box = () => picture.getAttribute("viewBox").split(" ").map(Number);
seen.before = box();
document.getElementById("in").click();
seen.button = box();
picture.dispatchEvent(new WheelEvent("wheel", { bubbles: true, cancelable: true, ctrlKey: true, deltaY: -300, clientX: 400, clientY: 300 }));
seen.wheel = box();
picture.dispatchEvent(new WheelEvent("wheel", { bubbles: true, cancelable: true, deltaY: 120 }));
seen.pan = box();
document.getElementById("whole").click();
const find = document.getElementById("find");
find.value = WANTED;
find.dispatchEvent(new Event("change"));
seen.found = count(".lit");
const fault = document.getElementById("fault");
if (fault) fault.click();
seen.fault = fault ? box() : null;
seen.resources = performance.getEntriesByType("resource").map((entry) => entry.name);
seen.errors = errors;
document.getElementById("probe").textContent = JSON.stringify(seen);
</script>"#;

pub(super) fn groupcast(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_groupcast")).args(arguments).env("COLUMNS", "80").output().unwrap()
}

pub(super) fn said(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// Returns the output of a tool, which must succeed.
pub(super) fn prints(arguments: &[&str]) -> String {
    let (code, stdout, stderr) = said(&groupcast(arguments));
    assert_eq!(code, Some(0), "{arguments:?}: {stderr}");
    stdout
}

/// A run of three clients in total order that were told to trace.
fn traced_run() -> Stage {
    let stage = Stage::new();
    let mut programs: Vec<Program> = stage.middle(3).into();
    for id in ["c1", "c2", "c3"] {
        let file: String = (1..=5).map(|number| format!("Multicast,{id},<{id} & {number}>\n")).collect();
        let other = if id == "c1" { "c2" } else { "c1" };
        programs.push(stage.client(id, format!("{file}{id},{other},alone\n")).arg("--trace").start());
    }
    all_end(&mut programs);
    stage
}

/// The histories of a simulated run in FIFO order that violates causal order.
fn faulty_run() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    prints(&[
        "sim",
        "--order",
        "fifo",
        "--members",
        "4",
        "--messages",
        "8",
        "--expect-violation",
        "causal",
        "--histories",
        out.to_str().unwrap(),
    ]);
    dir
}

/// Opens a page and uses it; what it showed.
pub(super) fn probe(page: &Path, wanted: &str) -> Value {
    let html = fs::read_to_string(page).unwrap();
    for word in ["http://", "https://", "//cdn", "@import", "url("] {
        let outside = html.replace("http://www.w3.org/2000/svg", "").matches(word).count();
        assert_eq!(outside, 0, "the page mentions {word}");
    }
    let html = html.replacen("<head>", &format!("<head>{LISTEN}"), 1);
    let probe = PROBE.replace("WANTED", &format!("{wanted:?}"));
    let probed = page.with_extension("probe.html");
    fs::write(&probed, html.replacen("</body>", &format!("{probe}</body>"), 1)).unwrap();
    let (dom, log) = browse(&probed);
    let errors: Vec<&str> = log.lines().filter(|line| line.contains("CONSOLE")).collect();
    assert!(errors.is_empty(), "the console says {errors:?}");
    let shown = dom.split("<pre id=\"probe\">").nth(1).and_then(|rest| rest.split("</pre>").next());
    let shown = shown.unwrap_or_else(|| panic!("the page shows no probe; the browser said:\n{log}"));
    let shown = shown.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
    serde_json::from_str(&shown).unwrap_or_else(|error| panic!("{error}: {shown:?}"))
}

/// The page as it is after its scripts have run, and what the browser said.
fn browse(page: &Path) -> (String, String) {
    let path = |extension: &str| page.with_extension(extension);
    let (dom, log) = (path("dom"), path("log"));
    let flags = [
        "--host-resolver-rules=MAP * ~NOTFOUND",
        "--enable-logging=stderr",
        "--window-size=1280,900",
        "--virtual-time-budget=5000",
        "--dump-dom",
    ];
    let child = Command::new(installed())
        .args(FLAGS)
        .args(flags)
        .arg(format!("--user-data-dir={}", path("profile").display()))
        .arg(format!("file://{}", page.display()))
        .stdin(Stdio::null())
        .stdout(fs::File::create(&dom).unwrap())
        .stderr(fs::File::create(&log).unwrap())
        .spawn()
        .unwrap();
    let mut child = Leash(child);
    until("the browser ends", || child.0.try_wait().unwrap());
    let text = |path: PathBuf| String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned();
    (text(dom), text(log))
}

pub(super) fn number(seen: &Value, what: &str) -> u64 {
    seen[what].as_u64().unwrap_or_else(|| panic!("{what} in {seen}"))
}

/// Width of the view: what zooming makes smaller.
fn width(seen: &Value, what: &str) -> f64 {
    seen[what][2].as_f64().unwrap_or_else(|| panic!("{what} in {seen}"))
}

#[test]
fn diagram_page_of_a_real_run_works_in_a_browser_offline() {
    let stage = traced_run();
    let (out, page) = (stage.out(), stage.dir().join("run.html"));
    prints(&["diagram", out.to_str().unwrap(), "-o", page.to_str().unwrap()]);
    let seen = probe(&page, "c2/1/3");
    assert_eq!(seen["heads"], serde_json::json!(["c1", "c2", "c3"]));
    // 15 multicasts, 45 deliveries, 3 messages to one member.
    assert_eq!(number(&seen, "marks"), 15 + 45 + 3 + 3);
    assert_eq!((number(&seen, "lines"), number(&seen, "rings")), (18, 0));
    assert!(number(&seen, "bars") > 0, "in total order something is held back: {seen}");
    assert!(
        seen["header"]
            .as_str()
            .unwrap()
            .contains("group main, total (bb), 3 members: 15 multicast, 45 delivered")
    );
    assert!(seen["size"].as_f64().unwrap() >= 11.0, "{seen}");
    assert_eq!(number(&seen, "overlaps"), 0);
    let about = seen["about"].as_str().unwrap();
    for word in [
        "/1/",
        " & ",
        "delivered it as number ",
        "held back for ",
        " for its number from the sequencer",
        "history_",
    ] {
        assert!(about.contains(word), "{word:?} is not in {about:?}");
    }
    assert!(number(&seen, "lit") >= 4 && seen["faded"] == true && seen["gone"] == true, "{seen}");
    assert!(
        width(&seen, "button") < width(&seen, "before") && width(&seen, "wheel") < width(&seen, "button")
    );
    assert!(seen["pan"][1].as_f64() > seen["wheel"][1].as_f64(), "{seen}");
    assert!(number(&seen, "found") >= 5, "{seen}");
    assert_eq!((&seen["errors"], &seen["resources"]), (&serde_json::json!([]), &serde_json::json!([])));
}

#[test]
fn diagram_violation_marks_both_sides() {
    let dir = faulty_run();
    let (out, page) = (dir.path().join("out"), dir.path().join("run.html"));
    let (out, file) = (out.to_str().unwrap(), page.to_str().unwrap());
    prints(&["diagram", out, "--property", "causal", "--around", "violation", "-o", file]);
    let seen = probe(&page, "p0");
    let header = seen["header"].as_str().unwrap();
    assert!(
        header.contains("causal is violated: ") && header.contains("This is a part of the run"),
        "{header}"
    );
    let story = said(&groupcast(&["check", out, "--property", "causal"])).1;
    let story = story.lines().next().unwrap().trim_start_matches("causal").trim();
    assert!(header.contains(story.trim_start_matches("violated").trim()), "{header}\n{story}");
    assert_eq!(number(&seen, "rings"), 4, "two events of each of two members: {story}");
    assert_eq!(number(&seen, "overlaps"), 0);
    assert!(seen["fault"].is_array() && seen["errors"] == serde_json::json!([]), "{seen}");
    let text = prints(&["diagram", out, "--property", "causal"]);
    assert_eq!(text.lines().skip(4).map(|line| line.matches('!').count()).sum::<usize>(), 4, "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
}

#[test]
fn diagram_is_readable_for_every_number_of_members() {
    for members in ["2", "12"] {
        let dir = tempfile::tempdir().unwrap();
        let (out, page) = (dir.path().join("out"), dir.path().join("run.html"));
        let (out, file) = (out.to_str().unwrap(), page.to_str().unwrap());
        prints(&["sim", "--order", "causal", "--members", members, "--messages", "6", "--histories", out]);
        prints(&["diagram", out, "-o", file]);
        let seen = probe(&page, "p1/1/1");
        assert_eq!(seen["heads"].as_array().unwrap().len().to_string(), members);
        assert_eq!(
            (number(&seen, "overlaps"), &seen["errors"]),
            (0, &serde_json::json!([])),
            "{members} members"
        );
        assert!(seen["size"].as_f64().unwrap() >= 11.0 && number(&seen, "found") > 1, "{seen}");
    }
}

#[test]
fn diagram_is_self_contained_and_names_its_omissions() {
    let stage = Stage::new();
    let mut programs: Vec<Program> = vec![stage.forwarder(2).start(), stage.router().start()];
    let client = |id: &str| stage.client(id, format!("Multicast,{id},x\n")).args(["--order", "fifo"]);
    programs.extend(["c1", "c2"].map(|id| client(id).start()));
    all_end(&mut programs);
    let out = stage.out();
    let out = out.to_str().unwrap();
    let svg = prints(&["diagram", out, "-o", "-", "--format", "svg"]);
    assert!(svg.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\"") && svg.ends_with("</svg>\n"));
    assert!(svg.contains("prefers-color-scheme: dark") && svg.contains("<title>"));
    for picture in [svg, prints(&["diagram", out])] {
        assert!(picture.contains("is not in these histories;") && picture.contains("--trace"), "{picture}");
    }
    let told = prints(&["explain", out, "c2", "c1/1/1"]);
    assert!(
        told.contains("c1 multicast it at ") && told.contains("the client was not told --trace"),
        "{told}"
    );
    assert!(told.contains("c2 delivered it at ") && told.contains("(history_c2.jsonl:"), "{told}");
}

#[test]
fn diagram_shiviz_log_has_expression_and_clock_for_each_event() {
    let stage = traced_run();
    let path = stage.dir().join("run.shiviz");
    prints(&["diagram", stage.out().to_str().unwrap(), "-o", path.to_str().unwrap()]);
    let log = fs::read_to_string(path).unwrap();
    let lines: Vec<&str> = log.lines().collect();
    assert_eq!(lines[..2], [r"(?<event>.*)\n(?<host>\S*) (?<clock>{.*})", ""]);
    let mut own = std::collections::BTreeMap::<&str, u64>::new();
    let mut known = std::collections::BTreeMap::<&str, u64>::new();
    for event in lines[2..].chunks(2) {
        let (host, clock) = event[1].split_once(' ').unwrap();
        let clock: std::collections::BTreeMap<&str, u64> = serde_json::from_str(clock).unwrap();
        let next = own.get(host).copied().unwrap_or(0) + 1;
        assert_eq!(clock[host], next, "{event:?}");
        own.insert(host, next);
        known.insert(host, next);
        assert!(
            clock.iter().all(|(host, count)| known.get(host).is_some_and(|last| count <= last)),
            "{event:?}"
        );
    }
    for words in
        ["multicast c1/1/1: <c1 & 1>", "c1/1/1 arrives", "deliver c1/1/1 as number ", "waits for its number"]
    {
        assert!(log.contains(words), "{words}");
    }
}

#[test]
fn explain_covers_first_receipt_to_delivery() {
    let stage = traced_run();
    let told = prints(&["explain", stage.out().to_str().unwrap(), "c3", "c1/1/2"]);
    let lines: Vec<&str> = told.lines().collect();
    let begins = ["c1/1/2 at c3, order total (bb): <c1 & 2>", "c1 multicast it at ", "It arrived at c3 at "];
    assert!(begins.iter().zip(&lines).all(|(begin, line)| line.starts_with(begin)), "{told}");
    assert!(told.contains(" for its number from the sequencer (history_c3.jsonl:"), "{told}");
    assert!(told.contains("c3 delivered it as number "), "{told}");
}

#[test]
fn diagram_undrawable_input_is_an_error() {
    let stage = traced_run();
    let (out, none) = (stage.out(), stage.dir().join("none"));
    let (out, none) = (out.to_str().unwrap(), none.to_str().unwrap());
    for (arguments, code, words) in [
        (vec!["diagram", out, "-o", "run.png"], 64, ".html, .svg, .txt or .shiviz"),
        (vec!["diagram", out, "-o", "-"], 64, "--format html, svg, txt or shiviz"),
        (vec!["diagram", out, "-o", "/nowhere/run.svg"], 73, "cannot create /nowhere/run.svg"),
        (vec!["diagram", none], 66, "cannot read"),
        (vec!["diagram", out, "--around", "c1/1/77"], 66, "the last one of c1 is c1/1/5"),
        (vec!["diagram", out, "--around", "violation"], 66, "nothing is violated"),
        (vec!["diagram", out, "--from", "1h"], 66, "the last event of this run is at "),
        (vec!["diagram", out, "--group", "mian"], 66, "the groups are main"),
        (vec!["explain", out, "C3", "c1/1/1"], 66, "did you mean c3?"),
        (vec!["explain", out, "c3", "c4/1/1"], 66, "did you mean c"),
        (vec!["explain", out, "c3", "hello"], 66, "like c1/1/7"),
    ] {
        let (found, _, stderr) = said(&groupcast(&arguments));
        assert_eq!(found, Some(code), "{arguments:?}: {stderr}");
        assert!(stderr.contains(words), "{arguments:?}: {stderr}");
    }
}

#[test]
fn diagram_in_readme_is_current() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let traced = root.join("testdata/traced");
    let drawn = prints(&["diagram", traced.to_str().unwrap(), "--to", "0.13", "-o", "-", "--format", "svg"]);
    let file = root.join("docs/diagram.svg");
    if std::env::var_os("GROUPCAST_REWRITE").is_some() {
        fs::write(&file, &drawn).unwrap();
    }
    assert!(fs::read_to_string(&file).unwrap() == drawn, "GROUPCAST_REWRITE=1 draws docs/diagram.svg again");
}

#[test]
fn diagram_of_too_many_events_is_drawn_in_parts() {
    const EACH: u64 = 1_300;
    let dir = tempfile::tempdir().unwrap();
    let members = "\"members\":[\"c1\",\"c2\"]";
    for id in ["c1", "c2"] {
        let start =
            format!("\"member\":\"{id}\",\"incarnation\":1,\"group\":\"main\",\"order\":\"fifo\",{members}");
        let mut file = format!("{{\"v\":1,\"event\":\"start\",{start},\"time_us\":0}}\n");
        let mut tell = |event: &str, of: &str, number: u64| {
            let time = number * 1000;
            file += &format!(
                "{{\"v\":1,\"event\":\"{event}\",\"id\":\"{of}/1/{number}\",\"text\":\"x\",\"time_us\":{time}}}\n"
            );
        };
        for number in 1..=EACH {
            if id == "c1" {
                tell("multicast", "c1", number);
            }
            tell("deliver", "c1", number);
        }
        file += "{\"v\":1,\"event\":\"end\",\"reason\":\"done\",\"time_us\":99999999}\n";
        fs::write(dir.path().join(format!("history_{id}.jsonl")), file).unwrap();
    }
    // Nothing of it is read but the number of its lines.
    let many = fs::read_to_string(dir.path().join("history_c2.jsonl")).unwrap();
    let huge = tempfile::tempdir().unwrap();
    fs::write(huge.path().join("history_c2.jsonl"), many.repeat(50)).unwrap();
    let (part, whole) = (dir.path().to_str().unwrap(), huge.path().to_str().unwrap());
    for format in ["html", "svg", "txt"] {
        let (code, _, stderr) = said(&groupcast(&["diagram", whole, "--format", format]));
        assert_eq!(code, Some(64), "{stderr}");
        for words in ["more than 50000 events", "--around c1/1/7", "--from 1s --to 1.2s"] {
            assert!(stderr.contains(words), "{format}: {stderr}");
        }
    }
    let drawn = prints(&["diagram", part, "--from", "1s", "--to", "1.2s"]);
    assert!(drawn.contains("This is a part of the run") && drawn.lines().count() > 200, "{drawn}");
}
