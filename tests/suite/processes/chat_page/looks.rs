//! Everything on the page can be read in both themes, fits into narrow windows, and has a name and a role.

use serde_json::Value;

use super::{PROBE, Window, no_errors};
use crate::browser::{Browser, Page};
use crate::processes::chat::Chat;

/// Roles of things that people operate.
const CONTROLS: [&str; 5] = ["button", "textbox", "link", "region", "dialog"];

fn role(node: &Value) -> &str {
    node["role"]["value"].as_str().unwrap_or_default()
}

/// Returns what a screen reader could not tell: controls without a name, and headings that skip a level.
fn unheard(page: &Page<'_>) -> Vec<String> {
    let nodes = page.accessibility();
    let mut found = Vec::new();
    for node in nodes.iter().filter(|node| CONTROLS.contains(&role(node))) {
        if node["name"]["value"].as_str().is_none_or(|name| name.trim().is_empty()) {
            found.push(format!("a {} without a name", role(node)));
        }
    }
    // A dialog that is open hides all else, and its headings stand below the first of the page.
    let mut last = u64::from(nodes.iter().any(|node| role(node) == "dialog"));
    for heading in nodes.iter().filter(|node| role(node) == "heading") {
        let properties = heading["properties"].as_array().unwrap();
        let level = properties.iter().find(|property| property["name"] == "level").unwrap();
        let level = level["value"]["value"].as_u64().unwrap();
        if level > last + 1 {
            found.push(format!("heading of level {level} below {last}: {}", heading["name"]["value"]));
        }
        last = level;
    }
    found
}

/// Returns all faults, for eyes and for ears.
fn faults(page: &Page<'_>) -> Vec<String> {
    let mut seen = page.value("probe.faults()");
    assert!(seen["texts"].as_u64().unwrap() >= 4, "{seen}");
    let mut found: Vec<String> = serde_json::from_value(seen["found"].take()).unwrap();
    found.extend(unheard(page));
    found
}

/// Fails if there is a fault, in each theme.
fn is_good(page: &Page<'_>, what: &str) {
    for theme in ["light", "dark"] {
        page.theme(theme);
        assert_eq!(faults(page), Vec::<String>::new(), "{what}, {theme}");
    }
}

fn has_roles(page: &Page<'_>, wanted: &[(&str, usize)]) {
    let nodes = page.accessibility();
    for &(name, least) in wanted {
        let count = nodes.iter().filter(|node| role(node) == name).count();
        assert!(count >= least && (name != "main" || count == 1), "{count} of the role {name}");
    }
}

#[test]
fn chat_page_looks_good_to_eyes_and_ears_in_every_theme_and_width() {
    let (chat, browser) = (Chat::up(3), Browser::start());
    let fresh = browser.open(PROBE);
    fresh.goes_to(&chat.urls[0]);
    for width in [1280, 320] {
        fresh.size(width, 700);
        is_good(&fresh, &format!("signing in, {width}"));
    }
    has_roles(&fresh, &[("main", 1), ("heading", 1), ("textbox", 1), ("button", 1)]);

    let ann = Window::of("ann", &browser, &chat.urls[0]);
    let bob = Window::of("bob", &browser, &chat.urls[2]);
    bob.joins("other");
    bob.joins("tea");
    ann.joins("mine");
    ann.joins("tea");
    bob.says("a post with a word that no line of a narrow window has room for: https://example.org/0123456789/0123456789");
    ann.waits("the post is there", "probe.posts().some((post) => post.state === 'confirmed')");
    chat.cluster(&["part", "s1,s2/s3"]);
    ann.waits("the strip", "probe.shown('partition')");
    ann.waits("bob is away", "probe.member('bob').dataset.unreachable === 'true'");
    ann.says("a tentative post");
    ann.shows("a tentative post", "sent");
    ann.clicks("a tentative post", "like");
    ann.waits("the other group", "probe.group('other')?.dataset.joined === 'false'");
    let page = &ann.page;
    has_roles(
        page,
        &[
            ("main", 1),
            ("banner", 1),
            ("navigation", 1),
            ("complementary", 1),
            ("region", 2),
            ("log", 1),
            ("status", 2),
        ],
    );
    has_roles(page, &[("heading", 5), ("article", 2), ("list", 3), ("textbox", 2)]);
    for width in [1280, 900, 320] {
        page.size(width, 700);
        is_good(page, &format!("chat, {width}"));
        // The first post as one that came late: its mark has colours of its own.
        page.value("void probe.all('[data-testid=post]')[0].setAttribute('data-late', 'true')");
        is_good(page, &format!("chat with a late post, {width}"));
        page.click("#open-help");
        is_good(page, &format!("help, {width}"));
        page.press("Escape");
        for button in ["#open-groups", "#open-details"] {
            if page.is(&format!("probe.inSight(document.querySelector('{button}'))")) {
                page.click(button);
                is_good(page, &format!("{button}, {width}"));
                page.press("Escape");
            }
        }
    }
    no_errors(&browser);
}

#[test]
fn chat_page_faults_of_looks_are_found() {
    let (chat, browser) = (Chat::up(1), Browser::start());
    let page = browser.open(PROBE);
    page.goes_to(&chat.urls[0]);
    page.size(320, 700);
    assert_eq!(faults(&page), Vec::<String>::new());
    for (broken, fault) in [
        ("card.append(make('button'))", "a button without a name"),
        ("card.append(make('input'))", "a textbox without a name"),
        ("card.append(make('h4', {}, 'deep'))", "heading of level 4 below 1"),
        ("card.querySelector('.quiet').style.color = 'rgb(130, 130, 130)'", "contrast 3."),
        ("card.querySelector('label').style.opacity = .4", "contrast"),
        (
            "card.querySelector('input').placeholder = 'x'; document.styleSheets[0].insertRule('::placeholder { color: rgb(150, 150, 150) !important }')",
            "contrast",
        ),
        ("card.append(make('p', {}, 'x'.repeat(99)))", "outside the window"),
        ("card.querySelector('button').style.cssText = 'min-height: 0; height: 20px'", "too small"),
    ] {
        page.goes_to(&chat.urls[0]);
        page.value(&format!("{{ const card = document.querySelector('.card'); {broken}; 0 }}"));
        let found = faults(&page);
        assert!(found.iter().any(|found| found.contains(fault)), "{broken}: {found:?}");
    }
}
