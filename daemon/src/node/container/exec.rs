//! ExecSync, Exec and Attach.

use std::sync::Arc;
use std::time::Duration;

use crate::handler::streams::Streams;
use crate::node::error::shortened;
use crate::node::{Node, NodeError};
use crate::proto::{
    AttachRequest, AttachResponse, ExecRequest, ExecResponse, ExecSyncRequest, ExecSyncResponse,
};

impl Node {
    /// Runs a command in a container of an OCI runtime.
    pub fn exec_sync(&self, request: ExecSyncRequest) -> Result<ExecSyncResponse, NodeError> {
        let (_, held, handler, process) = self.running_container(&request.container_id)?;
        if request.cmd.is_empty() {
            return Err(NodeError::Missing { field: "cmd" });
        }
        let seconds = u64::try_from(request.timeout).unwrap_or(0);
        let timeout = (seconds > 0).then(|| Duration::from_secs(seconds));
        let output = handler.exec_sync(&held.launch(), process, &request.cmd, timeout)?;
        Ok(ExecSyncResponse {
            stdout: output.stdout,
            stderr: output.stderr,
            exit_code: output.exit_code,
        })
    }

    /// A URL under which a client has the streams of a command, once; the command starts then.
    pub fn exec(&self, request: ExecRequest) -> Result<ExecResponse, NodeError> {
        let (_, _, handler) = self.live_container(&request.container_id)?;
        handler.has_streams()?;
        let streams = Streams {
            stdin: request.stdin,
            stdout: request.stdout,
            stderr: request.stderr,
            tty: request.tty,
        };
        check(streams)?;
        if request.cmd.first().is_none_or(String::is_empty) {
            return Err(NodeError::Missing { field: "cmd" });
        }
        let (_, held, handler, process) = self.running_container(&request.container_id)?;
        let handler = Arc::clone(handler);
        let open = move || handler.exec(&held.launch(), process, &request.cmd, streams);
        let url = self.parts.streaming.exec(streams, Box::new(open));
        let url = url.map_err(NodeError::Streaming)?;
        Ok(ExecResponse { url })
    }

    /// A URL under which a client has the streams of a container's own program, once.
    pub fn attach(&self, request: AttachRequest) -> Result<AttachResponse, NodeError> {
        let (_, _, handler) = self.live_container(&request.container_id)?;
        handler.has_streams()?;
        let streams = Streams {
            stdin: request.stdin,
            stdout: request.stdout,
            stderr: request.stderr,
            tty: request.tty,
        };
        check(streams)?;
        let (_, held, handler, process) = self.running_container(&request.container_id)?;
        let handler = Arc::clone(handler);
        let open = move || handler.attach(&held.launch(), process, streams);
        let url = self.parts.streaming.attach(streams, Box::new(open));
        let url = url.map_err(NodeError::Streaming)?;
        Ok(AttachResponse { url })
    }
}

fn check(streams: Streams) -> Result<(), NodeError> {
    streams.check().map_err(|reason| NodeError::BadValue {
        field: "tty, stdin, stdout, stderr",
        value: shortened(&format!("{streams:?}")),
        reason,
    })
}
