//! `-e` and `--env-file`, as docker reads them: `KEY=VALUE` sets, `KEY` alone
//! passes the value on that `unikiln` itself has, or nothing where it has none.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

/// `KEY=VALUE` for all files, then for all assignments: later ones win.
pub(crate) fn collect(files: &[PathBuf], assignments: &[String]) -> Result<Vec<String>> {
    let mut environment = Vec::new();
    for file in files {
        read_file(file, &mut environment)?;
    }
    for assignment in assignments {
        environment.extend(resolve(assignment).with_context(|| format!("-e {assignment}"))?);
    }
    Ok(environment)
}

/// Blank lines and lines that begin with `#` are comments; nothing is quoted.
fn read_file(path: &Path, environment: &mut Vec<String>) -> Result<()> {
    let text = fs::read_to_string(path)
        .with_context(|| format!("cannot read --env-file {}", path.display()))?;
    for (index, line) in text.lines().enumerate() {
        let line = line.trim_start();
        if !line.is_empty() && !line.starts_with('#') {
            environment.extend(
                resolve(line).with_context(|| format!("{}:{}", path.display(), index + 1))?,
            );
        }
    }
    Ok(())
}

fn resolve(assignment: &str) -> Result<Option<String>> {
    let name = assignment.split('=').next().unwrap_or_default();
    ensure!(
        !name.is_empty(),
        "an environment variable has no name; write KEY=VALUE"
    );
    if assignment.len() > name.len() {
        return Ok(Some(assignment.to_owned()));
    }
    match env::var(name) {
        Ok(value) => Ok(Some(format!("{name}={value}"))),
        Err(env::VarError::NotPresent) => Ok(None),
        Err(error @ env::VarError::NotUnicode(_)) => {
            Err(error).context("only UTF-8 values can be passed on")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{collect, resolve};

    #[test]
    fn later_assignments_follow_files() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(
            file.path(),
            "# comment\n\nA=1\n  B=two words # kept\nABSENT_FROM_HOST\n",
        )
        .unwrap();
        let got = collect(&[file.path().to_owned()], &["A=2".to_owned()]).unwrap();
        assert_eq!(got, ["A=1", "B=two words # kept", "A=2"]);
    }

    #[test]
    fn a_name_alone_is_passed_on() {
        assert_eq!(
            resolve("CARGO_PKG_NAME").unwrap().as_deref(),
            Some("CARGO_PKG_NAME=unikiln")
        );
        assert_eq!(resolve("EMPTY=").unwrap().as_deref(), Some("EMPTY="));
        assert!(resolve("=x").is_err());
    }
}
