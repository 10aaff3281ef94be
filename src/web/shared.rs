//! The part of a server that all requests share, and the form of a refusal.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::desk::{Desk, Refusal};
use super::page::Page;

/// The part of a server that all requests share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) desk: Desk,
    pub(super) page: Page,
    /// The origins of the pages of all servers.
    pub(super) origins: Vec<String>,
    /// Becomes true when the server ends.
    pub(super) ends: tokio::sync::watch::Receiver<bool>,
}

/// Returns the response of a refusal.
pub(super) fn refused(refusal: &Refusal) -> Response {
    let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, Json(json!({ "error": refusal.why }))).into_response()
}
