//! stub
use std::net::SocketAddr;
use std::path::PathBuf;
#[derive(Debug, thiserror::Error)]
#[error("stub")]
pub struct StreamingError;
#[derive(Debug)]
pub struct Streaming;
impl Streaming {
    pub fn start(_a: SocketAddr, _h: tokio::runtime::Handle) -> Result<Self, StreamingError> {
        Ok(Self)
    }
    pub fn port_forward(&self, _n: Option<PathBuf>, _p: &[i32]) -> Result<String, StreamingError> {
        Err(StreamingError)
    }
}
