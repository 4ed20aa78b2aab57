//! ReopenContainerLog.

use crate::node::{Node, NodeError};
use crate::proto::{ReopenContainerLogRequest, ReopenContainerLogResponse};

impl Node {
    /// Opens the log file anew, after kubelet renamed it.
    pub fn reopen_container_log(
        &self,
        request: ReopenContainerLogRequest,
    ) -> Result<ReopenContainerLogResponse, NodeError> {
        let (_, held, handler, process) = self.running_container(&request.container_id)?;
        handler.reopen_log(&held.launch(), process)?;
        Ok(ReopenContainerLogResponse {})
    }
}
