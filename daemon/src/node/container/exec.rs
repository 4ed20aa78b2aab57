//! ExecSync, and what answers Exec and Attach.

use std::time::Duration;

use crate::node::{Node, NodeError};
use crate::proto::{
    AttachRequest, AttachResponse, ExecRequest, ExecResponse, ExecSyncRequest, ExecSyncResponse,
};

/// What Exec and Attach say.
const NO_STREAMS: &str = "exec and attach have no streams here: a unikernel has no second process to start, its \
     log, the strace annotation and the crash record tell what it does; in containers of OCI runtimes \
     ExecSync (crictl exec --sync) runs commands";

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

    /// Refused, with a sentence that says where to look instead.
    pub fn exec(&self, request: &ExecRequest) -> Result<ExecResponse, NodeError> {
        self.live_container(&request.container_id)?;
        Err(NodeError::Unimplemented(NO_STREAMS))
    }

    /// Refused, with a sentence that says where to look instead.
    pub fn attach(&self, request: &AttachRequest) -> Result<AttachResponse, NodeError> {
        self.live_container(&request.container_id)?;
        Err(NodeError::Unimplemented(NO_STREAMS))
    }
}
