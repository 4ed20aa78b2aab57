//! How a program ended, as a client is told: Kubernetes' `Status` for clients of today, a text
//! that is empty where all went well for older ones.

use serde_json::json;

/// The exit code, or why there is none.
type Ended = Result<i32, String>;

/// The object `Status` of the API's version 1.
pub(super) fn json(ended: &Ended) -> String {
    let status = match ended {
        Ok(0) => json!({"metadata": {}, "status": "Success"}),
        Ok(code) => json!({
            "metadata": {},
            "status": "Failure",
            "message": text(ended),
            "reason": "NonZeroExitCode",
            "details": {"causes": [{"reason": "ExitCode", "message": code.to_string()}]},
        }),
        Err(error) => json!({
            "metadata": {},
            "status": "Failure",
            "message": text(ended),
            "reason": "InternalError",
            "details": {"causes": [{"message": error}]},
            "code": 500,
        }),
    };
    status.to_string()
}

/// The text alone.
pub(super) fn text(ended: &Ended) -> String {
    match ended {
        Ok(0) => String::new(),
        Ok(code) => format!("command terminated with exit code {code}"),
        Err(error) => format!("Internal error occurred: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::{json, text};

    #[test]
    fn an_exit_code_is_a_cause() {
        let status: serde_json::Value = serde_json::from_str(&json(&Ok(3))).expect("JSON");
        assert_eq!(status["status"], "Failure");
        assert_eq!(status["reason"], "NonZeroExitCode");
        let causes = serde_json::json!([{"reason": "ExitCode", "message": "3"}]);
        assert_eq!(status["details"]["causes"], causes);
        let status: serde_json::Value = serde_json::from_str(&json(&Ok(0))).expect("JSON");
        assert_eq!(status["status"], "Success");
        assert_eq!(status["details"], serde_json::Value::Null);
        let status = json(&Err("no \"such\" thing".to_owned()));
        let status: serde_json::Value = serde_json::from_str(&status).expect("JSON");
        assert_eq!(status["reason"], "InternalError");
        let message = status["message"].as_str().expect("a text");
        assert!(message.ends_with("no \"such\" thing"), "{message}");
    }

    #[test]
    fn older_clients_hear_of_errors_alone() {
        assert_eq!(text(&Ok(0)), "");
        assert!(text(&Ok(7)).ends_with("exit code 7"));
        assert!(text(&Err("why".to_owned())).ends_with("why"));
    }
}
