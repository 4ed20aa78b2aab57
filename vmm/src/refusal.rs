//! Starts that are refused before there is a guest: the builder has seen that the
//! program cannot run ([`unikiln_unikernel::Verdict`]), and nothing that the
//! caller changes could make it.

use unikiln_unikernel::{Answer, Manifest};

use crate::config::Config;
use crate::volume::Mount;

/// Variables that change where a program and its libraries are looked for.
const PLACES: [&[u8]; 2] = [b"PATH", b"LD_"];

/// Where volumes bring no program and no library: what every container of a pod has.
const TRIVIAL: [&str; 6] = [
    "/etc/hosts",
    "/etc/hostname",
    "/etc/resolv.conf",
    "/dev/termination-log",
    "/run/secrets/",
    "/var/run/secrets/",
];

/// Why a guest is not started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The verdict's sentence.
    pub summary: String,
    /// 126 or 127.
    pub exit_code: u8,
}

/// The refusal of what `config` asks for; none where it may run.
pub fn refusal(manifest: &Manifest, config: &Config) -> Option<Refusal> {
    let verdict = manifest.verdict.as_ref()?;
    let exit_code = verdict.exit_code?;
    if verdict.answer != Answer::Cannot {
        return None;
    }
    // A volume may bring what is missing.
    let is_trivial = |mount: &Mount| {
        let place = mount.place.to_string_lossy();
        TRIVIAL.iter().any(|it| match it.ends_with('/') {
            true => place.starts_with(it),
            false => place == *it,
        })
    };
    let is_same_image = config.volumes.iter().all(is_trivial) && config.working_dir.is_none();
    let is_same_program =
        config.entrypoint.is_none() && (config.args.is_none() || !manifest.entrypoint.is_empty());
    let moves = |setting: &std::ffi::OsString| {
        let setting = setting.as_encoded_bytes();
        PLACES.iter().any(|place| setting.starts_with(place))
    };
    let is_same_search = !config.env.iter().any(moves);
    (is_same_image && is_same_program && is_same_search).then(|| Refusal {
        summary: verdict.summary.clone(),
        exit_code,
    })
}

#[cfg(test)]
mod tests {
    use unikiln_unikernel::{Finding, Needs, Severity, Verdict};

    use super::*;

    fn manifest(severity: Severity) -> Manifest {
        let finding = Finding {
            severity,
            code: "not-found".into(),
            what: "/a: no such file".into(),
            advice: String::new(),
        };
        Manifest {
            entrypoint: vec!["/a".into()],
            verdict: Some(Verdict::new(vec![finding], Needs::default(), Some(127))),
            ..Manifest::default()
        }
    }

    #[test]
    fn what_cannot_run_is_refused_as_it_is() {
        let config = Config::new("x.uk");
        let refused = refusal(&manifest(Severity::Error), &config).unwrap();
        assert_eq!(refused.summary, "cannot run: /a: no such file");
        assert_eq!(refused.exit_code, 127);
        assert_eq!(refusal(&manifest(Severity::Warning), &config), None);
        assert_eq!(refusal(&Manifest::default(), &config), None);
    }

    #[test]
    fn what_the_caller_changes_may_run() {
        let refused = |change: fn(&mut Config)| {
            let mut config = Config::new("x.uk");
            change(&mut config);
            refusal(&manifest(Severity::Error), &config).is_some()
        };
        assert!(refused(|config| config.args = Some(vec!["x".into()])));
        assert!(refused(|config| config.env = vec!["A=1".into()]));
        assert!(!refused(
            |config| config.entrypoint = Some(vec!["/b".into()])
        ));
        assert!(!refused(|config| config.working_dir = Some("/b".into())));
        assert!(!refused(|config| config.env = vec!["PATH=/b".into()]));
        assert!(!refused(
            |config| config.env = vec!["LD_LIBRARY_PATH=/b".into()]
        ));
        assert!(!refused(
            |config| config.volumes = vec![crate::Mount::parse("/a:/a".as_ref()).unwrap()]
        ));
        assert!(refused(|config| config.volumes =
            ["/a:/etc/hosts", "/b:/run/secrets/x"]
                .map(|it| Mount::parse(it.as_ref()).unwrap())
                .into()));
        let mut command = manifest(Severity::Error);
        std::mem::swap(&mut command.entrypoint, &mut command.cmd);
        let mut config = Config::new("x.uk");
        config.args = Some(vec!["/b".into()]);
        assert_eq!(refusal(&command, &config), None);
    }
}
