//! The page: one response with everything in it, and a policy that lets nothing else in.

use std::net::SocketAddr;

use axum::http::header;
use axum::response::{IntoResponse, Response};
use rustix::system::uname;

use crate::transport::key;

const HTML: &str = include_str!("page/index.html");
const STYLE: &str = include_str!("page/style.css");
const SCRIPTS: [&str; 10] = [
    include_str!("page/1-model.js"),
    include_str!("page/2-store.js"),
    include_str!("page/3-connection.js"),
    include_str!("page/4-elements.js"),
    include_str!("page/5-posts.js"),
    include_str!("page/6-panels.js"),
    include_str!("page/7-reading.js"),
    include_str!("page/7-sender.js"),
    include_str!("page/8-chat.js"),
    include_str!("page/9-main.js"),
];

/// The page of a server.
#[derive(Debug)]
pub(super) struct Page {
    html: String,
    /// The pages that this one may speak with, for the policy.
    others: String,
}

impl Page {
    /// Returns the page; `addresses` are those of all servers of the cluster.
    pub(super) fn new(addresses: &[String]) -> Self {
        let html = HTML.replace("/*STYLE*/", STYLE).replace("/*SCRIPT*/", &SCRIPTS.concat());
        let hosts = addresses.iter().map(|address| address.replace("0.0.0.0", "*").replace("[::]", "*"));
        let others: Vec<String> = hosts.map(|host| format!("http://{host} ws://{host}")).collect();
        Self { html, others: others.join(" ") }
    }

    /// Returns the response, with a policy for this one response.
    pub(super) fn response(&self) -> Response {
        let nonce = key::random();
        let policy = format!(
            "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; img-src data:; \
             connect-src 'self' {}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
            self.others
        );
        let headers = [
            (header::CONTENT_TYPE, "text/html; charset=utf-8".to_owned()),
            (header::CONTENT_SECURITY_POLICY, policy),
            (header::CACHE_CONTROL, "no-store".to_owned()),
            (header::REFERRER_POLICY, "no-referrer".to_owned()),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
        ];
        (headers, self.html.replace("NONCE", &nonce)).into_response()
    }
}

/// Returns the origins of the pages at these addresses and at `local`. The names of this machine stand for one another.
pub(super) fn origins(addresses: &[String], local: SocketAddr) -> Vec<String> {
    const OF_LOOPBACK: [&str; 3] = ["127.0.0.1", "localhost", "[::1]"];
    let mut origins = vec![format!("http://{local}")];
    for address in addresses.iter().cloned().chain([local.to_string()]) {
        let Some((host, port)) = address.rsplit_once(':') else { continue };
        origins.push(format!("http://{address}"));
        if port == "80" {
            origins.push(format!("http://{host}"));
        }
        if OF_LOOPBACK.contains(&host) || matches!(host, "0.0.0.0" | "[::]") {
            origins.extend(OF_LOOPBACK.map(|host| format!("http://{host}:{port}")));
        }
    }
    origins.sort_unstable();
    origins.dedup();
    origins
}

/// Returns the names by which the servers may be called: those in the addresses of all pages and in `own`, and that of
/// this machine.
pub(super) fn hosts(addresses: &[String], own: &str) -> Vec<String> {
    let named = addresses.iter().map(String::as_str).chain([own]).map(|address| host_of(address).to_owned());
    let machine = uname().nodename().to_string_lossy().into_owned();
    named.chain([machine]).collect()
}

/// Returns the host of an address like `HOST:PORT`, or of one without a port.
pub(super) fn host_of(address: &str) -> &str {
    let is_port = |port: &str| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    match address.rsplit_once(':') {
        Some((host, port)) if is_port(port) && (!host.contains(':') || host.ends_with(']')) => host,
        _ => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_is_the_part_before_the_port() {
        for (address, host) in [
            ("127.0.0.1:80", "127.0.0.1"),
            ("localhost", "localhost"),
            ("[::1]:8080", "[::1]"),
            ("[::1]", "[::1]"),
            ("::1", "::1"),
            ("chat.example:x", "chat.example:x"),
            (":80", ""),
            ("", ""),
        ] {
            assert_eq!(host_of(address), host, "{address}");
        }
        let hosts = hosts(&["0.0.0.0:1".to_owned(), "s1.example:2".to_owned()], "chat.example:3");
        assert!(hosts.contains(&"s1.example".to_owned()) && hosts.contains(&"chat.example".to_owned()));
    }
}
