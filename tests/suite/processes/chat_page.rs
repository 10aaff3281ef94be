//! The chat's page in a real browser, at real servers: two users see each other's posts, go on while the servers are
//! parted or killed, and can see, hear and reach everything.

use std::time::Duration;

use serde_json::{Value, json};

use super::chat::Chat;
use crate::browser::{Browser, Page};
use crate::harness::{pause, until};

mod looks;
mod pictures;

/// Helpers in the page.
const PROBE: &str = include_str!("chat_page/probe.js");

/// The page of a user.
struct Window<'a> {
    page: Page<'a>,
}

impl<'a> Window<'a> {
    /// Signs in at a server.
    fn of(user: &str, browser: &'a Browser, url: &str) -> Self {
        let page = browser.open(PROBE);
        page.goes_to(url);
        page.fill("[data-testid=sign-in-name]", user);
        page.click("[data-testid=sign-in]");
        let window = Self { page };
        window.waits("it is connected", "!probe.shown('banner') && where.textContent.startsWith('at ')");
        window
    }

    fn waits(&self, what: &str, condition: &str) {
        self.page.waits(what, condition);
    }

    fn joins(&self, group: &str) {
        self.page.fill("[data-testid=group-name]", group);
        self.page.click("[data-testid=join-group]");
        self.is_in(group);
    }

    fn is_in(&self, group: &str) {
        let group = json!(group);
        let joined = format!(
            "document.getElementById('title').textContent === {group} && probe.group({group})?.dataset.joined === 'true'"
        );
        self.waits("the group is joined", &joined);
    }

    fn says(&self, text: &str) {
        self.page.fill("[data-testid=text]", text);
        self.page.press("Enter");
    }

    /// Waits for a post in this state.
    fn shows(&self, text: &str, state: &str) {
        self.waits(
            &format!("{text:?} is {state}"),
            &format!("probe.post({})?.dataset.state === '{state}'", json!(text)),
        );
    }

    /// Clicks a part of a post.
    fn clicks(&self, text: &str, part: &str) {
        self.waits("a part is clicked", &format!("probe.click(probe.part({}, '{part}'))", json!(text)));
    }

    /// Presses Tab until something has the focus, which must be seen there.
    fn tabs_to(&self, name: &str) {
        for _ in 0..60 {
            let focus = self.page.value("probe.focus()");
            if focus["name"] == *name {
                assert_eq!(focus["visible"], true, "the focus cannot be seen at {name}");
                return;
            }
            self.page.press("Tab");
        }
        panic!("Tab does not reach {name}");
    }

    fn posts(&self) -> Vec<Value> {
        let Value::Array(posts) = self.page.value("probe.posts()") else { panic!("no posts") };
        posts
    }

    fn has(&self, condition: &str) {
        assert!(self.page.is(condition), "{condition}: {}", self.page.value("document.body.innerText"));
    }
}

/// Waits until two pages show the same list with `count` posts, all confirmed; returns their texts.
fn one_list(one: &Window<'_>, other: &Window<'_>, count: usize) -> Vec<String> {
    let what = format!("{count} posts in one order on both pages, all confirmed");
    let list = until(&what, || {
        let (left, right) = (one.posts(), other.posts());
        let is_final = left.iter().all(|post| post["state"] == "confirmed");
        (left.len() == count && is_final && left == right).then_some(left)
    });
    list.iter().map(|post| post["text"].as_str().unwrap().to_owned()).collect()
}

/// Whether an error tells no more than that a server cannot be reached, which no page can keep from its console.
fn is_of_network(error: &str) -> bool {
    ["net::ERR_", "WebSocket connection to"].iter().any(|words| error.contains(words))
}

fn no_errors(browser: &Browser) {
    assert_eq!(browser.errors(), Vec::<String>::new());
}

#[test]
fn chat_page_posts_and_likes_are_seen_on_the_other_page() {
    let (chat, browser) = (Chat::up(3), Browser::start());
    let ann = Window::of("ann", &browser, &chat.urls[0]);
    let bob = Window::of("bob", &browser, &chat.urls[2]);
    ann.joins("tea");
    bob.joins("tea");
    let text = "hello <b>you</b>\n&amp; all <img src=x onerror=alert(1)>";
    ann.says(text);
    ann.has("document.getElementById('text').value === ''");
    ann.shows(text, "confirmed");
    bob.shows(text, "confirmed");
    bob.has("document.querySelector('.text').children.length === 0");
    bob.has(&format!("document.querySelector('.text').innerText === {}", json!(text)));
    assert_eq!((ann.posts().len(), bob.posts().len()), (1, 1));

    bob.clicks(text, "like");
    let like = format!("probe.part({}, 'like')", json!(text));
    ann.waits("ann sees the like", &format!("{like}.getAttribute('aria-label') === 'Like, 1 like: bob'"));
    ann.has(&format!("{like}.getAttribute('aria-pressed') === 'false' && {like}.title === 'bob'"));
    bob.has(&format!("{like}.getAttribute('aria-pressed') === 'true'"));
    bob.clicks(text, "like");
    ann.waits("ann sees that it is gone", &format!("{like}.dataset.count === '0'"));

    let members = "JSON.stringify(probe.all('[data-testid=member]').map((it) => it.dataset.user)) === '[\"ann\",\"bob\"]'";
    ann.waits("both are members", members);
    ann.page.value("void document.getElementById('text').select()");
    ann.page.write(&"x".repeat(4001));
    ann.page.press("Enter");
    ann.has("document.getElementById('count').textContent === '1 character too many'");
    assert_eq!(ann.posts().len(), 1, "too long a text is not sent");

    ann.page.goes_to(&chat.urls[0]);
    ann.waits(
        "name and posts are kept",
        "document.getElementById('me').textContent === 'ann' && probe.posts().length === 1",
    );
    ann.page.click("[data-testid=leave-group]");
    bob.waits("ann has left", "!probe.member('ann')");
    bob.has("probe.member('bob')");
    no_errors(&browser);
}

/// Heals the servers while ann reads further up: the post of bob takes its place above hers, and she is led to it.
fn heals_with_a_late_post(chat: &Chat, ann: &Window<'_>) {
    ann.page
        .value("document.getElementById('posts').scrollTop = document.getElementById('posts').scrollHeight");
    ann.page.value("document.getElementById('posts').scrollTop -= 120");
    ann.waits("the list follows no more", "probe.shown('newer')");
    let place = format!("probe.placeOf({})", ann.page.value("probe.atTop()"));
    let before = ann.page.value(&place).as_f64().unwrap();
    chat.cluster(&["heal"]);
    let words = "'1 older message arrived above'";
    let told = format!(
        "probe.shown('late-button') && probe.words('late-button') === {words}
         && document.getElementById('status').textContent === {words}"
    );
    ann.waits("the button and the status tell of it", &told);
    ann.has("probe.post('of bob').dataset.late === 'true' && probe.posts().at(-1).text !== 'of bob'");
    let moved = ann.page.value(&place).as_f64().unwrap() - before;
    assert!(moved.abs() <= 2.0, "the list moved by {moved} pixels");
    ann.page.click("[data-testid=late-button]");
    ann.has("document.activeElement === probe.post('of bob')");
    ann.has("probe.within(probe.post('of bob'), document.getElementById('posts'))");
    ann.waits("the button has done its work", "!probe.shown('late-button')");
}

#[test]
fn chat_page_of_parted_users_goes_on_and_has_one_list_after_the_heal() {
    let (chat, browser) = (Chat::up(3), Browser::start());
    let ann = Window::of("ann", &browser, &chat.urls[0]);
    let bob = Window::of("bob", &browser, &chat.urls[2]);
    ann.joins("tea");
    bob.joins("tea");
    for number in 0..20 {
        ann.says(&format!("before {number}"));
    }
    one_list(&ann, &bob, 20);
    chat.cluster(&["part", "s1,s2/s3"]);
    for window in [&ann, &bob] {
        window.waits("the strip says it", "probe.shown('partition')");
    }
    let strip = ann.page.value("probe.words('partition')");
    assert_eq!(strip, "You see s1 and s2 of 3 servers. New messages are not final until s3 is back.");
    let strip = bob.page.value("probe.words('partition')");
    assert!(strip.as_str().unwrap().starts_with("You see only s3 of 3 servers."), "{strip}");
    ann.waits("bob is out of reach", "probe.member('bob').dataset.unreachable === 'true'");
    ann.has(
        "probe.server('s3').dataset.reachable === 'false' && probe.server('s2').dataset.reachable === 'true'",
    );

    bob.says("of bob");
    bob.shows("of bob", "sent");
    bob.clicks("before 19", "like");
    for number in 0..20 {
        ann.says(&format!("of ann {number}"));
    }
    ann.shows("of ann 19", "sent");
    ann.has("probe.post('of ann 19').querySelector('.state').textContent === 'not final'");
    ann.clicks("before 19", "like");
    ann.waits("all of ann's are stored", "probe.posts().every((post) => post.state !== 'sending')");
    ann.has("!probe.post('of bob') && probe.posts().length === 40");
    bob.has("!probe.post('of ann 0') && probe.posts().length === 21");

    heals_with_a_late_post(&chat, &ann);
    let texts = one_list(&ann, &bob, 41);
    assert_eq!(texts[..20], (0..20).map(|number| format!("before {number}")).collect::<Vec<_>>());
    for window in [&ann, &bob] {
        window.waits("both likes count", "probe.posts()[19].likes === 2");
        window.waits("the strip is gone", "!probe.shown('partition')");
    }
    no_errors(&browser);
}

#[test]
fn chat_page_goes_on_elsewhere_when_its_server_is_killed_amid_a_post() {
    let (chat, browser) = (Chat::up(3), Browser::start());
    let ann = Window::of("ann", &browser, &chat.urls[1]);
    let bob = Window::of("bob", &browser, &chat.urls[2]);
    ann.joins("tea");
    bob.joins("tea");
    ann.says("one");
    one_list(&ann, &bob, 1);
    // Only the server that is killed stores the post, and its answer is lost: both it and the next server have one.
    chat.cluster(&["part", "s2/s1,s3"]);
    // The faults act within half a second.
    pause(Duration::from_millis(700));
    ann.page.hold_answers("*/api/post");
    ann.says("under way");
    let answer = ann.page.held();
    chat.cluster(&["kill", "s2"]);
    ann.page.lose(&answer);
    ann.says("while there is none");
    ann.waits("it goes on", "['at s1', 'at s3'].includes(where.textContent)");
    for text in ["under way", "while there is none"] {
        ann.shows(text, "sent");
        bob.shows(text, "sent");
    }
    bob.says("answer");
    ann.shows("answer", "sent");
    ann.waits("the killed server is shown", "probe.server('s2').dataset.reachable === 'false'");

    chat.cluster(&["start", "s2"]);
    chat.cluster(&["heal"]);
    let mut texts = one_list(&ann, &bob, 4);
    texts.sort_unstable();
    assert_eq!(texts, ["answer", "one", "under way", "while there is none"]);
    let items = chat.agreed("tea", 4);
    assert!(items.iter().any(|item| item["text"] == "under way"), "{items:?}");
    ann.waits("all servers are back", "!probe.shown('partition')");
    let others: Vec<String> = browser.errors().into_iter().filter(|error| !is_of_network(error)).collect();
    assert!(others.is_empty(), "{others:?}");
}

#[test]
fn chat_page_is_used_by_keys_alone() {
    let (chat, browser) = (Chat::up(1), Browser::start());
    let page = browser.open(PROBE);
    let ann = Window { page };
    let page = &ann.page;
    let goes_to = |name: &str| ann.tabs_to(name);
    page.goes_to(&chat.urls[0]);
    goes_to("sign-in-name");
    page.write("ann");
    page.press("Enter");
    ann.waits("it is connected", "where.textContent === 'at s1'");
    for group in ["news", "tea"] {
        goes_to("group-name");
        page.write(group);
        page.press("Enter");
        ann.is_in(group);
    }
    ann.waits("the text field has the focus", "probe.focus().name === 'text'");
    page.write("one");
    page.press("Shift+Enter");
    page.write("two");
    page.press("Enter");
    ann.shows("one\ntwo", "confirmed");
    goes_to("like");
    page.press("Enter");
    ann.waits("it is liked", "probe.posts()[0].likes === 1");
    page.press("Escape");
    ann.has("probe.focus().name === 'text'");
    page.press("Alt+ArrowUp");
    ann.is_in("news");
    page.press("Alt+ArrowDown");
    ann.is_in("tea");
    for name in ["send", "posts", "group", "join-group", "leave-group", "sign-out"] {
        goes_to(name);
    }
    page.press("Shift+Tab");
    ann.has("probe.focus().name !== 'sign-out'");
    goes_to("open-help");
    page.press("Enter");
    ann.waits("help is open", "help.open");
    page.press("Escape");
    ann.waits("help is closed", "!help.open && probe.focus().name === 'open-help'");
    goes_to("leave-group");
    page.press("Enter");
    ann.is_in("news");
    goes_to("sign-out");
    page.press("Enter");
    ann.waits("it begins anew", "probe.shown('sign-in') && probe.focus().name === 'sign-in-name'");
    no_errors(&browser);
}
