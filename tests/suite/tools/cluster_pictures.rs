//! Pictures and explanations of clusters: insertions, confirmations, crashes and new lives.

use std::fs;
use std::path::Path;

use serde_json::json;

use super::pictures::{groupcast, number, prints, probe, said};

/// A run in which s3 was cut off, and was killed after it had met the others again. The crash took the last lines of its
/// first history.
fn example() -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/cluster").to_str().unwrap().to_owned()
}

/// The output of a command as docs/CLUSTERS.md shows it.
fn shown(command: &str) -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/CLUSTERS.md");
    let page = fs::read_to_string(page).unwrap();
    let shown = page.split_once(&format!("$ {command}\n")).unwrap_or_else(|| panic!("it shows {command}")).1;
    let end = [shown.find("\n$ "), shown.find("\n```")].into_iter().flatten().min().unwrap();
    shown[..=end].to_owned()
}

#[test]
fn diagram_of_a_cluster_shows_insertions_confirmations_and_lives() {
    let drawn = prints(&["diagram", &example()]);
    assert_eq!(drawn, shown("groupcast diagram testdata/cluster"), "\n{drawn}");
    for words in ["▲1 s2/1", "↺◇ s2/2", "▲1 s3/1", "◆2-4 s2/1 s3/1 s2/2", "✗ crash", "▷ life 2", "■ settled"]
    {
        assert!(drawn.contains(words), "{words}: {drawn}");
    }
}

#[test]
fn explanation_in_a_cluster_tells_the_place_and_what_confirmation_waited_for() {
    for (member, id) in [("s3", "s2/1/1"), ("s1", "s1/1/2")] {
        let told = prints(&["explain", &example(), member, id]);
        assert_eq!(told, shown(&format!("groupcast explain testdata/cluster {member} {id}")), "\n{told}");
    }
    let (code, _, stderr) = said(&groupcast(&["explain", &example(), "s1", "s2/1/9"]));
    assert_eq!(code, Some(66), "{stderr}");
    assert!(stderr.contains("the last one of s2 is s2/1/2"), "{stderr}");
}

#[test]
fn diagram_of_a_cluster_without_calendars_keeps_causes_above_effects() {
    let dir = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(example()).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let calendar = text.find(",\"calendar_us\":").map(|at| (at, at + text[at..].find('}').unwrap()));
        let text = calendar.map_or(text.clone(), |(from, to)| text[..from].to_owned() + &text[to..]);
        fs::write(dir.path().join(path.file_name().unwrap()), text).unwrap();
    }
    let drawn = prints(&["diagram", dir.path().to_str().unwrap()]);
    let line = |words: &str| drawn.lines().position(|line| line.contains(words)).unwrap();
    assert!(line("● s1/2") < line("◆5 s1/2") && line("✗ crash") < line("▷ life 2"), "{drawn}");
    let s3 = |words: &str| {
        let is_it = |line: &str| line.chars().skip(55).collect::<String>().contains(words);
        drawn.lines().position(is_it).unwrap_or_else(|| panic!("{words}: {drawn}"))
    };
    assert!(line("● s1/2") < s3("◇ s1/2") && s3("↺◇ s2/2") < s3("✗ crash"), "{drawn}");
}

#[test]
fn diagram_of_a_cluster_works_in_a_browser() {
    let dir = tempfile::tempdir().unwrap();
    let page = dir.path().join("run.html");
    prints(&["diagram", &example(), "-o", page.to_str().unwrap()]);
    let seen = probe(&page, "s2/1/1");
    assert_eq!((number(&seen, "overlaps"), &seen["errors"]), (0, &json!([])), "{seen}");
    assert!(seen["header"].as_str().unwrap().contains("Before it was final, the order differed"), "{seen}");
    // Its dot, its showings and confirmations at three members, its lines and arrows.
    assert!(number(&seen, "found") >= 9, "{seen}");
    assert!(seen["about"].as_str().unwrap().contains(" confirmed it as number "), "{seen}");
    let svg = prints(&["diagram", &example(), "-o", "-", "--format", "svg"]);
    assert_eq!(svg.matches("class=\"rise ").count(), 3, "an arrow for each insertion above others");
    assert_eq!(svg.matches("class=\"crash\"").count(), 2, "the legend, and s3");
    assert!(svg.matches("class=\"gap\"").count() >= 1 && svg.contains(">2-4</text>"), "{svg}");
    let log = prints(&["diagram", &example(), "--format", "shiviz"]);
    for words in
        ["show s3/1/1 above 1 others: I come by train", "s3 confirmed 2-4", "s3 crashed", "life 2 of s3"]
    {
        assert!(log.contains(words), "{words}: {log}");
    }
}

#[test]
fn simulated_cluster_writes_files_that_are_judged_drawn_and_explained() {
    let dir = tempfile::tempdir().unwrap();
    let (mut above, mut crashes, mut told_again) = (0, 0, 0);
    for seed in ["1", "2", "3"] {
        let out = dir.path().join(seed);
        let folder = out.to_str().unwrap();
        let sim = ["sim", "--order", "tentative", "--members", "3", "--messages", "6", "--split", "1"];
        let more = ["--crash", "2", "--seed", seed, "--histories", folder];
        prints(&[&sim[..], &more[..]].concat());
        let judged = prints(&["check", folder]);
        assert!(judged.contains("PASS: cluster main, tentative, 3 members: 18 multicast"), "{judged}");
        let drawn = prints(&["diagram", folder]);
        above += drawn.matches('▲').count() - 1;
        crashes += drawn.matches("✗ crash").count() - 1;
        told_again += drawn.matches('↺').count() - 1;
        assert!(drawn.lines().all(|line| line.chars().count() <= 80), "{drawn}");
        let explained = prints(&["explain", folder, "p0", "p1/1/6"]);
        assert!(explained.contains("p0 confirmed it as number "), "{explained}");
        let (code, _, stderr) = said(&groupcast(&[&sim[..], &more[..]].concat()));
        assert_eq!(code, Some(73), "the files of another run stay: {stderr}");
        assert!(stderr.contains("--histories"), "{stderr}");
    }
    assert!(above > 0 && crashes > 0, "{above} insertions above others, {crashes} crashes");
    assert_eq!(told_again, 0, "a simulated crash takes no line of a history");
}
