//! A folder of vectors in `testdata`, written anew from the typed values if `GROUPCAST_REWRITE=1` asks for it.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Once;

/// The path of a folder. It is rewritten at most `once`, with the expected content of every file.
pub(super) fn folder(
    name: &str,
    once: &Once,
    expected: impl FnOnce() -> BTreeMap<String, String>,
) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name);
    once.call_once(|| {
        if std::env::var_os("GROUPCAST_REWRITE").is_some_and(|flag| flag == "1") {
            let _ = fs::remove_dir_all(&folder);
            fs::create_dir_all(folder.join("bad")).expect("testdata can be written");
            for (name, text) in expected() {
                fs::write(folder.join(name), text).expect("testdata can be written");
            }
        }
    });
    folder
}
