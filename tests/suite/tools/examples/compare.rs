//! Compares shown output with real output: the same words, but for times and dates, and `...` for any lines.

/// Units of time, and of so much in a time: the number before them is another in each run.
const UNITS: [&str; 6] = ["µs", "ms", "s", "min", "MiB", "msg/s"];
/// Those of time.
const TIMES: [&str; 4] = ["µs", "ms", "s", "min"];
/// The length of a date and time in the name of a folder: `2026-11-21T09-40-12`.
const DATE: usize = 19;

/// Whether these lines were printed as they are shown.
pub(super) fn is_as_shown(shown: &[String], printed: &[&str]) -> bool {
    let Some((first, rest)) = shown.split_first() else { return printed.is_empty() };
    if first == "..." {
        return (0..=printed.len()).any(|skipped| is_as_shown(rest, &printed[skipped..]));
    }
    printed
        .split_first()
        .is_some_and(|(line, others)| masked(first) == masked(line) && is_as_shown(rest, others))
}

/// The words of a line, without what differs from run to run: also whether the machine was so busy that something had to
/// be sent again.
fn masked(line: &str) -> Vec<String> {
    let line = line
        .strip_suffix(" sent again")
        .and_then(|line| line.rsplit_once(';'))
        .map_or(line, |(line, _)| line);
    let words: Vec<&str> = line.split_whitespace().collect();
    let is_unit = |word: &str| UNITS.contains(&word.trim_end_matches([',', ')', ';', '.']));
    let masked = words.iter().enumerate().map(|(at, word)| {
        let is_number = |word: &str| word.trim_start_matches('(').parse::<f64>().is_ok();
        if words.get(at + 1).is_some_and(|next| is_unit(next)) && is_number(word) {
            return "#".to_owned();
        }
        let is_of_number = at.checked_sub(1).is_some_and(|before| is_number(words[before]));
        let time = TIMES.into_iter().find(|time| word.trim_end_matches([',', ')', ';', '.']) == *time);
        match time.filter(|_| is_of_number) {
            // A busy machine needs seconds where another one needs milliseconds.
            Some(time) => format!("time{}", &word[time.len()..]),
            None => without_date(word),
        }
    });
    masked.collect()
}

/// Returns the word, with `DATE` for a date and the characters after it up to a slash.
fn without_date(word: &str) -> String {
    let is_date = |part: &str| {
        let shape = |byte: u8| if byte.is_ascii_digit() { b'0' } else { byte };
        part.bytes().map(shape).eq(*b"0000-00-00T00-00-00")
    };
    let found = (0..word.len()).find(|&at| word.get(at..at + DATE).is_some_and(is_date));
    found.map_or_else(
        || word.to_owned(),
        |at| {
            let rest = &word[at + DATE..];
            format!("{}DATE{}", &word[..at], &rest[rest.find('/').unwrap_or(rest.len())..])
        },
    )
}

#[test]
fn examples_output_differs_only_where_runs_differ() {
    for (shown, printed, expected) in [
        ("PASS 26 in 3.5 s", "PASS  26 in 0.1 s", true),
        ("PASS 26 in 3.5 s", "PASS 27 in 3.5 s", false),
        ("PASS 26 in 3.5 s", "PASS 26 in 3.5 s; 2 packets were sent again", true),
        ("(3 ms)", "(12 ms)", true),
        ("(3 ms),", "(1.2 s),", true),
        ("(3 ms)", "(3 MiB)", false),
        ("runs/2026-11-21T09-40-12/x", "runs/2027-01-02T03-04-05-ab/x", true),
        ("runs/2026-11-21T09-40-12/x", "runs/2027-01-02T03-04-05/y", false),
        ("a\n...\nz", "a\nb\nc\nz", true),
        ("a\n...\nz", "a\nz", true),
        ("a\n...\nz", "a\nb", false),
        ("a", "a\nb", false),
        ("a\nb", "a", false),
    ] {
        let shown_lines: Vec<String> = shown.lines().map(str::to_owned).collect();
        let printed_lines: Vec<&str> = printed.lines().collect();
        assert_eq!(is_as_shown(&shown_lines, &printed_lines), expected, "{shown} {printed}");
    }
}
