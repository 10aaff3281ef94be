//! A real browser whose pages are opened, used and looked at as people do it.

use std::cell::RefCell;
use std::process::{Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::wire::Wire;
use super::{FLAGS, Leash, installed};
use crate::harness::{now, pause};

/// No page that works takes this long for anything.
const LIMIT: Duration = Duration::from_secs(100);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Keep pages at work that another window covers.
const AWAKE: [&str; 3] = [
    "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows",
    "--disable-renderer-backgrounding",
];

/// The bits of keys that are held.
const ALT: u8 = 1;
const SHIFT: u8 = 8;

/// A browser that ends with its test.
pub(crate) struct Browser {
    wire: RefCell<Wire>,
    _child: Leash,
    _profile: TempDir,
}

impl Browser {
    pub(crate) fn start() -> Self {
        let profile = tempfile::Builder::new().prefix("groupcast-browser-").tempdir().unwrap();
        // The browser reads commands from descriptor 3, and answers on descriptor 4.
        let mut child = Command::new("sh")
            .args(["-c", "exec \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>&1", "sh", installed()])
            .args(FLAGS)
            .args(AWAKE)
            .arg("--remote-debugging-pipe")
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (commands, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Self { wire: RefCell::new(Wire::new(commands, output)), _child: Leash(child), _profile: profile }
    }

    fn ask(&self, method: &str, parameters: &Value) -> Value {
        self.wire.borrow_mut().ask(None, method, parameters)
    }

    /// Opens a window of somebody who shares nothing with other windows. `script` runs before those of each page.
    pub(crate) fn open(&self, script: &str) -> Page<'_> {
        let person = self.ask("Target.createBrowserContext", &json!({}))["browserContextId"].take();
        let target =
            self.ask("Target.createTarget", &json!({"url": "about:blank", "browserContextId": person}));
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let session = self.ask("Target.attachToTarget", &attach)["sessionId"].as_str().unwrap().to_owned();
        let page = Page { browser: self, session };
        for domain in ["Page", "Runtime", "Log", "Accessibility"] {
            page.ask(&format!("{domain}.enable"), &json!({}));
        }
        page.ask("Emulation.setFocusEmulationEnabled", &json!({"enabled": true}));
        page.ask("Page.addScriptToEvaluateOnNewDocument", &json!({"source": script}));
        page.size(1280, 800);
        page
    }

    /// The errors on the consoles of all pages so far, and exceptions that nobody caught.
    pub(crate) fn errors(&self) -> Vec<String> {
        self.wire.borrow().errors.clone()
    }
}

/// A window with a page.
pub(crate) struct Page<'a> {
    browser: &'a Browser,
    session: String,
}

impl Page<'_> {
    fn ask(&self, method: &str, parameters: &Value) -> Value {
        self.browser.wire.borrow_mut().ask(Some(&self.session), method, parameters)
    }

    /// Goes to an address and waits until the page is there.
    pub(crate) fn goes_to(&self, url: &str) {
        let answer = self.ask("Page.navigate", &json!({"url": url}));
        assert!(answer["errorText"].is_null(), "{url}: {answer}");
        self.waits(
            "the page is loaded",
            "document.readyState === 'complete' && location.href !== 'about:blank'",
        );
    }

    /// The value of an expression in the page; promises are waited for.
    pub(crate) fn value(&self, expression: &str) -> Value {
        let question = json!({"expression": expression, "awaitPromise": true, "returnByValue": true, "userGesture": true});
        let mut answer = self.ask("Runtime.evaluate", &question);
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {answer}");
        answer["result"]["value"].take()
    }

    pub(crate) fn is(&self, condition: &str) -> bool {
        self.value(&format!("Boolean({condition})")) == true
    }

    /// Waits until a condition of the page is true.
    pub(crate) fn waits(&self, what: &str, condition: &str) {
        let began = now();
        while !self.is(condition) {
            if began.elapsed() > LIMIT {
                let shown = self.value("document.body.innerText");
                panic!(
                    "{what}: not within {LIMIT:?}: {condition}; the page shows:\n{}",
                    shown.as_str().unwrap()
                );
            }
            pause(LOOK_AGAIN);
        }
    }

    /// Clicks an element, if it can be seen and nothing covers it; waits for that.
    pub(crate) fn click(&self, selector: &str) {
        self.waits("something can be clicked", &format!("probe.click({selector:?})"));
    }

    /// Types into an element in one go, in place of its text.
    pub(crate) fn fill(&self, selector: &str, text: &str) {
        self.waits("something can be written to", &format!("probe.select({selector:?})"));
        self.write(text);
    }

    /// Types where the focus is.
    pub(crate) fn write(&self, text: &str) {
        self.ask("Input.insertText", &json!({"text": text}));
    }

    /// Presses a key, such as `Enter`, `Shift+Tab` or `Alt+ArrowDown`.
    pub(crate) fn press(&self, keys: &str) {
        let (held, key) = keys.rsplit_once('+').unwrap_or(("", keys));
        let modifiers = match held {
            "" => 0,
            "Alt" => ALT,
            "Shift" => SHIFT,
            _ => panic!("no key {held}"),
        };
        let (code, text) = match key {
            "Tab" => (9, ""),
            "Enter" => (13, "\r"),
            "Escape" => (27, ""),
            "ArrowUp" => (38, ""),
            "ArrowDown" => (40, ""),
            _ => panic!("no key {key}"),
        };
        let stroke = json!({"key": key, "code": key, "windowsVirtualKeyCode": code, "modifiers": modifiers});
        let with = |kind: &str, text: &str| {
            let mut stroke = stroke.clone();
            stroke["type"] = kind.into();
            if !text.is_empty() {
                stroke["text"] = text.into();
            }
            stroke
        };
        self.ask(
            "Input.dispatchKeyEvent",
            &with(if text.is_empty() { "rawKeyDown" } else { "keyDown" }, text),
        );
        self.ask("Input.dispatchKeyEvent", &with("keyUp", ""));
    }

    /// Sets the size of the window, in pixels.
    pub(crate) fn size(&self, width: u32, height: u32) {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.ask("Emulation.setDeviceMetricsOverride", &size);
        self.waits("the window has its size", &format!("innerWidth === {width} && innerHeight === {height}"));
    }

    /// Makes the page light or dark, and still: without animations.
    pub(crate) fn theme(&self, theme: &str) {
        let features = json!([
            {"name": "prefers-color-scheme", "value": theme},
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]);
        self.ask("Emulation.setEmulatedMedia", &json!({"features": features}));
    }

    /// All that a screen reader is told, one node after the other.
    pub(crate) fn accessibility(&self) -> Vec<Value> {
        let mut tree = self.ask("Accessibility.getFullAXTree", &json!({}));
        let Value::Array(nodes) = tree["nodes"].take() else { panic!("no tree: {tree}") };
        nodes.into_iter().filter(|node| node["ignored"] == false).collect()
    }

    /// Holds the answers to requests whose address fits a pattern, from now on.
    pub(crate) fn hold_answers(&self, pattern: &str) {
        let patterns = json!([{"urlPattern": pattern, "requestStage": "Response"}]);
        self.ask("Fetch.enable", &json!({"patterns": patterns}));
    }

    /// Waits for the next answer that is held.
    pub(crate) fn held(&self) -> Value {
        self.browser.wire.borrow_mut().held()
    }

    /// Loses an answer that is held; holds no others.
    pub(crate) fn lose(&self, answer: &Value) {
        self.ask("Fetch.failRequest", &json!({"requestId": answer, "errorReason": "ConnectionReset"}));
        self.ask("Fetch.disable", &json!({}));
    }

    /// A picture of the window, in PNG.
    pub(crate) fn picture(&self) -> Vec<u8> {
        let picture = self.ask("Page.captureScreenshot", &json!({"format": "png"}));
        STANDARD.decode(picture["data"].as_str().unwrap()).unwrap()
    }
}
