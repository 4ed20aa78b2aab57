//! The wire: gRPC services that hand each call to the node or the images.
//!
//! The work of a call blocks, and runs on a thread of its own: a client that vanishes does not
//! cut it in half. Each call has a request id in the log.

mod image;
mod runtime;

use std::error::Error as _;
use std::sync::Arc;
use std::time::Instant;

use tonic::{Code, Request, Response, Status};

pub use image::service as image_calls;
pub use runtime::RuntimeCalls;

use crate::metrics::Metrics;
use crate::node::NodeError;
use crate::trace;

/// An error as the wire has it: a code, and a line with its causes, which kubelet shows in the
/// pod's events.
pub(crate) trait ToStatus: std::error::Error {
    /// The status.
    fn to_status(&self) -> Status;
}

impl ToStatus for NodeError {
    fn to_status(&self) -> Status {
        let mut text = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            let more = error.to_string();
            // Some errors repeat their cause.
            if !text.contains(&more) {
                text.push_str(": ");
                text.push_str(&more);
            }
            cause = error.source();
        }
        Status::new(self.code(), text)
    }
}

/// Runs one call, which may block, to its end.
async fn call<Q, A, E>(
    metrics: &Arc<Metrics>,
    method: &'static str,
    request: Request<Q>,
    work: impl FnOnce(Q) -> Result<A, E> + Send + 'static,
) -> Result<Response<A>, Status>
where
    Q: Send + 'static,
    A: Send + 'static,
    E: ToStatus + Send + 'static,
{
    let started = Instant::now();
    let span = trace::request(method);
    let (metrics, request) = (Arc::clone(metrics), request.into_inner());
    let work = move || {
        let _inside = span.enter();
        let answer = work(request).map_err(|error| error.to_status());
        let code = answer.as_ref().map_or_else(Status::code, |_| Code::Ok);
        metrics.rpc(method, code, started.elapsed());
        match &answer {
            Ok(_) => tracing::debug!(took_us = started.elapsed().as_micros(), "done"),
            Err(status) => tracing::warn!(code = ?code, error = status.message(), "failed"),
        }
        answer
    };
    match tokio::task::spawn_blocking(work).await {
        Ok(answer) => answer.map(Response::new),
        // A panic is a bug of ours: the call fails, the daemon lives.
        Err(error) => {
            tracing::error!(method, %error, "a call broke off");
            Err(Status::internal(
                "the daemon failed in this call; its log has more",
            ))
        }
    }
}
