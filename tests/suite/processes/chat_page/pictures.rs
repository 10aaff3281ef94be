//! Pictures of the page, for the documents: `scripts/pictures` asks for them.

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{PROBE, Window};
use crate::browser::Browser;
use crate::processes::chat::Chat;

/// Makes both sides of a partition talk.
fn talk(ann: &Window<'_>, bob: &Window<'_>, chat: &Chat) {
    ann.joins("garden");
    ann.joins("tea");
    bob.joins("tea");
    for (window, text) in [
        (ann, "Good morning. The kettle is on."),
        (bob, "Good morning! Assam or Darjeeling?"),
        (ann, "Darjeeling, please. And there is cake."),
    ] {
        window.says(text);
        ann.shows(text, "confirmed");
        bob.shows(text, "confirmed");
    }
    bob.clicks("Darjeeling, please. And there is cake.", "like");
    chat.cluster(&["part", "s1,s2/s3,s4,s5"]);
    for window in [ann, bob] {
        window.waits("the strip", "probe.shown('partition')");
        window.waits("the other is away", "probe.all('[data-unreachable=true]').length === 1");
    }
    for (window, text) in [
        (bob, "The line to your side seems to be cut."),
        (bob, "I go on here. You will see this later, in its place."),
        (ann, "Nobody on your side answers."),
        (ann, "I keep a piece of the cake for you."),
    ] {
        window.says(text);
        window.shows(text, "sent");
    }
    ann.clicks("Good morning! Assam or Darjeeling?", "like");
}

/// Puts two pictures side by side.
fn beside(browser: &Browser, left: &[u8], right: &[u8], width: u32, height: u32) -> Vec<u8> {
    const GAP: u32 = 16;
    let page = browser.open(PROBE);
    page.size(2 * width + GAP, height);
    let image = |bytes: &[u8]| format!("<img src='data:image/png;base64,{}'>", STANDARD.encode(bytes));
    let html = format!("{}{}", image(left), image(right));
    page.value("document.body.style.cssText = 'margin: 0; display: flex; justify-content: space-between; background: #888'");
    page.value(&format!("void (document.body.innerHTML = {})", serde_json::json!(html)));
    page.waits(
        "both pictures",
        "[...document.images].every((image) => image.complete && image.naturalWidth > 0)",
    );
    page.picture()
}

#[test]
fn chat_page_pictures_are_made_on_request() {
    let Ok(folder) = std::env::var("GROUPCAST_PICTURES") else { return };
    let folder = Path::new(&folder);
    fs::create_dir_all(folder).unwrap();
    let (chat, browser) = (Chat::up(5), Browser::start());
    let ann = Window::of("ann", &browser, &chat.urls[0]);
    let bob = Window::of("bob", &browser, &chat.urls[3]);
    talk(&ann, &bob, &chat);
    let take = |window: &Window<'_>, theme: &str, width: u32, height: u32| {
        window.page.theme(theme);
        window.page.size(width, height);
        window.waits("the strip", "probe.shown('partition')");
        window.page.value(
            "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(0))))",
        );
        window.page.picture()
    };
    let save = |name: &str, picture: &[u8]| fs::write(folder.join(name), picture).unwrap();
    let (width, height) = (800, 600);
    let (left, right) = (take(&ann, "light", width, height), take(&bob, "dark", width, height));
    save("chat.png", &beside(&browser, &left, &right, width, height));
    save("chat-light.png", &take(&ann, "light", 1280, 800));
    save("chat-dark.png", &take(&ann, "dark", 1280, 800));
    save("chat-narrow.png", &take(&ann, "light", 320, 640));
    save("chat-narrow-dark.png", &take(&bob, "dark", 320, 640));
}
