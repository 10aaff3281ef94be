//! The Chromium of this machine, in which tests open pages.

use std::process::{Child, Command, Stdio};

#[cfg(feature = "web")]
mod page;
#[cfg(feature = "web")]
mod wire;

#[cfg(feature = "web")]
pub(crate) use page::{Browser, Page};

/// Names that a Chromium has on one system or another.
const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "chrome"];

/// The flags of every browser of a test: without a window, a profile of somebody, and traffic of its own.
pub(crate) const FLAGS: [&str; 9] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
];

/// A program that does not outlive its test.
pub(crate) struct Leash(pub(crate) Child);

impl Drop for Leash {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Returns the name of the browser's program; fails if there is none.
pub(crate) fn installed() -> &'static str {
    let is_there = |name: &&str| {
        Command::new(name).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
    };
    let Some(browser) = NAMES.into_iter().find(is_there) else {
        panic!("there is no Chromium to open the page in: `scripts/setup --tests` installs it");
    };
    browser
}
