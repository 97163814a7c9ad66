//! What a caller can ask for.

use std::path::Path;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::response::Response;
use crate::transport::Token;

/// An API, described once. Shared between threads.
#[derive(Debug)]
pub struct Connector {}

impl Connector {
    /// A connector from configuration text: JSON, or YAML when it does not start with `{`.
    pub fn from_text(_config: &str) -> Result<Connector> {
        Err(Error::unsupported("a connector"))
    }

    /// A connector from a file; `file.yaml#source` picks one connector out of a whole apilinker file.
    pub fn open(_path: &Path) -> Result<Connector> {
        Err(Error::unsupported("a connector"))
    }

    /// Asks the API for its health. OK whenever a verdict was reached.
    pub fn check_health(&self, _cancel: Option<&Arc<Token>>) -> Result<Response> {
        Err(Error::unsupported("check_health"))
    }

    /// Fetches data from an endpoint; `params` and `options` are JSON objects.
    pub fn fetch(
        &self,
        _endpoint: &str,
        _params: Option<&str>,
        _options: Option<&str>,
        _cancel: Option<&Arc<Token>>,
    ) -> Result<Response> {
        Err(Error::unsupported("fetch"))
    }

    /// Sends one item, a JSON text, to an endpoint.
    pub fn send(
        &self,
        _endpoint: &str,
        _data: &str,
        _options: Option<&str>,
        _cancel: Option<&Arc<Token>>,
    ) -> Result<Response> {
        Err(Error::unsupported("send"))
    }

    /// Sends a body as it is.
    pub fn send_bytes(
        &self,
        _endpoint: &str,
        _body: &[u8],
        _options: Option<&str>,
        _cancel: Option<&Arc<Token>>,
    ) -> Result<Response> {
        Err(Error::unsupported("send_bytes"))
    }
}
