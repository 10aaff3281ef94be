//! The part of a server that all requests share, and the form of a refusal.

use std::error::Error as _;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::desk::{Desk, Refusal};
use super::earlier::Files;
use super::page::Page;

/// The part of a server that all requests share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) desk: Desk,
    /// The files with all confirmed operations.
    pub(super) files: Files,
    pub(super) page: Page,
    /// The origins of the pages of all servers.
    pub(super) origins: Vec<String>,
    /// The names of the machines of all servers.
    pub(super) hosts: Vec<String>,
    /// Becomes true when the server ends.
    pub(super) ends: tokio::sync::watch::Receiver<bool>,
}

/// Returns the response of a refusal.
pub(super) fn refused(refusal: &Refusal) -> Response {
    let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, Json(json!({ "error": refusal.why }))).into_response()
}

/// Returns the refusal of a query that cannot be read.
pub(super) fn unreadable_query(rejection: &QueryRejection) -> Refusal {
    let cause = rejection.source().map(ToString::to_string).unwrap_or_default();
    Refusal::new(400, format!("cannot read the query: {cause}"))
}
