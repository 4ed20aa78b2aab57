//! What the builder says of an image before it was ever booted: whether it will
//! run, why not, and what it needs. The builder finds it (`builder/src/check/`,
//! described in `builder/CHECK.md`), this is its form in JSON and for people.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::text::printable;

/// Version of this form and of what is looked at.
pub const VERDICT_VERSION: u32 = 1;

/// Whether an image will run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// Nothing speaks against it.
    #[default]
    Runs,
    /// It needs something that may not be there.
    MayNot,
    /// It ends before the program's first instruction.
    Cannot,
}

/// How much a finding weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Good to know.
    Note,
    /// It may not run for this.
    Warning,
    /// It cannot run for this.
    Error,
}

/// One thing that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// How much it weighs.
    pub severity: Severity,
    /// What kind of finding it is, such as `missing-library`; stable.
    pub code: String,
    /// What was found, on what.
    pub what: String,
    /// What to do; empty where there is nothing.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub advice: String,
}

/// System calls of programs and libraries outside the C library, by how much of
/// them the libOS has. Those that are whole are not named.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CallNeeds {
    /// Return ENOSYS.
    pub missing: Vec<String>,
    /// Return another error always, as in a container.
    pub refused: Vec<String>,
    /// Lack something, see `libos/SYSCALLS.md`.
    pub partial: Vec<String>,
}

/// A program that the image starts, itself or by a script.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProgramNeeds {
    /// Where it is in the image.
    pub path: String,
    /// `elf` or `script`.
    pub kind: String,
    /// Dynamic linker, or the program of the `#!` line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interpreter: Option<String>,
    /// Libraries that are loaded before it starts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub libraries: Vec<String>,
    /// Whether it may be loaded anywhere.
    #[serde(default)]
    pub position_independent: bool,
    /// x86-64 architecture level that it says it needs, 1 to 4.
    #[serde(default)]
    pub isa_level: u8,
}

/// What an image needs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Needs {
    /// OCI architecture; empty for programs of this machine.
    pub architecture: String,
    /// Entrypoint and command.
    pub command: Vec<String>,
    /// What they start, in order.
    pub programs: Vec<ProgramNeeds>,
    /// Calls that are not whole.
    pub system_calls: CallNeeds,
    /// Whether it starts other processes of its own accord.
    pub fork: bool,
    /// UID and GID, with a colon.
    pub user: String,
    /// Working directory.
    pub working_dir: String,
    /// Signal that stops it.
    pub stop_signal: String,
    /// Ports that the image names, such as `80/tcp`.
    pub ports: Vec<String>,
    /// Directories that the image wants to be volumes.
    pub volumes: Vec<String>,
    /// Bytes of memory below which it cannot start.
    pub minimum_memory_bytes: u64,
}

/// See the module documentation. Prints as text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Verdict {
    /// [`VERDICT_VERSION`].
    pub version: u32,
    /// Whether it runs.
    pub answer: Answer,
    /// The answer as a sentence, with the first reason.
    pub summary: String,
    /// What `unikiln run` exits with, where it cannot run: 126 or 127.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<u8>,
    /// What was found, what weighs most first.
    pub findings: Vec<Finding>,
    /// What it needs.
    pub needs: Needs,
}

impl Verdict {
    /// The verdict of these findings; `exit_code` is for one that cannot run.
    pub fn new(mut findings: Vec<Finding>, needs: Needs, exit_code: Option<u8>) -> Self {
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        let worst = findings.first();
        let (answer, summary) = match worst.map(|finding| (finding.severity, &finding.what)) {
            Some((Severity::Error, what)) => (Answer::Cannot, format!("cannot run: {what}")),
            Some((Severity::Warning, what)) => (Answer::MayNot, format!("may not run: {what}")),
            _ => (Answer::Runs, "runs".to_owned()),
        };
        Self {
            version: VERDICT_VERSION,
            answer,
            summary,
            exit_code: exit_code.filter(|_| answer == Answer::Cannot),
            findings,
            needs,
        }
    }

    /// With one more finding.
    pub fn with(mut self, finding: Finding) -> Self {
        self.findings.push(finding);
        Self::new(self.findings, self.needs, self.exit_code)
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", printable(&self.summary))?;
        for finding in &self.findings {
            let (severity, what) = (finding.severity, printable(&finding.what));
            write!(out, "\n{severity:<8} {what} [{}]", finding.code)?;
            if !finding.advice.is_empty() {
                write!(out, "\n         {}", printable(&finding.advice))?;
            }
        }
        let needs = &self.needs;
        let mut line = |name: &str, text: &str| {
            if text.is_empty() {
                return Ok(());
            }
            write!(out, "\n{name:<15} {}", printable(text))
        };
        let quoted: Vec<_> = needs
            .command
            .iter()
            .map(|word| format!("{word:?}"))
            .collect();
        line("command", &quoted.join(" "))?;
        for program in &needs.programs {
            line("program", &program_text(program))?;
        }
        let calls = &needs.system_calls;
        line("calls missing", &calls.missing.join(" "))?;
        line("calls refused", &calls.refused.join(" "))?;
        line("calls in part", &calls.partial.join(" "))?;
        line("user", &needs.user)?;
        line("working dir", &needs.working_dir)?;
        line("stop signal", &needs.stop_signal)?;
        line("ports", &needs.ports.join(" "))?;
        line("volumes", &needs.volumes.join(" "))?;
        let mebibytes = needs.minimum_memory_bytes.div_ceil(1 << 20);
        if mebibytes > 0 {
            line("memory at least", &format!("{mebibytes} MiB"))?;
        }
        Ok(())
    }
}

fn program_text(program: &ProgramNeeds) -> String {
    let mut text = format!("{}: {}", program.path, program.kind);
    if let Some(interpreter) = &program.interpreter {
        text += &format!(", by {interpreter}");
    }
    match program.libraries.len() {
        0 => {}
        1 => text += ", 1 library",
        count => text += &format!(", {count} libraries"),
    }
    if program.isa_level > 1 {
        text += &format!(", x86-64-v{}", program.isa_level);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(severity: Severity, what: &str) -> Finding {
        Finding {
            severity,
            code: "code".into(),
            what: what.into(),
            advice: String::new(),
        }
    }

    #[test]
    fn the_worst_finding_decides() {
        let verdict = |findings| Verdict::new(findings, Needs::default(), Some(127));
        let runs = verdict(vec![finding(Severity::Note, "a")]);
        assert_eq!((runs.answer, runs.summary.as_str()), (Answer::Runs, "runs"));
        assert_eq!(runs.exit_code, None);
        let may = runs.with(finding(Severity::Warning, "b"));
        assert_eq!(
            (may.answer, may.summary.as_str()),
            (Answer::MayNot, "may not run: b")
        );
        let cannot = verdict(vec![
            finding(Severity::Note, "a"),
            finding(Severity::Error, "c"),
        ]);
        assert_eq!(
            (cannot.answer, cannot.exit_code),
            (Answer::Cannot, Some(127))
        );
        assert!(
            cannot
                .to_string()
                .starts_with("cannot run: c\nerror    c [code]\n")
        );
    }

    #[test]
    fn text_of_an_image_does_not_steer_the_terminal() {
        let verdict = Verdict::new(
            vec![finding(Severity::Note, "a\x1b[2J\n")],
            Needs::default(),
            None,
        );
        assert!(!verdict.to_string().contains('\x1b'));
    }

    #[test]
    fn json_names_are_stable() {
        let verdict = Verdict::new(
            vec![finding(Severity::Warning, "b")],
            Needs::default(),
            None,
        );
        let json = serde_json::to_value(&verdict).unwrap();
        assert_eq!(json["answer"], "may-not");
        assert_eq!(json["findings"][0]["severity"], "warning");
        assert_eq!(
            json["needs"]["systemCalls"]["missing"],
            serde_json::json!([])
        );
        assert_eq!(serde_json::from_value::<Verdict>(json).unwrap(), verdict);
    }
}
