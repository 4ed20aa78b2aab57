//! The first process as docker would start it: arguments, environment,
//! working directory, names; encoded as the strings block of [`unikiln_abi::boot`].

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use unikiln_abi::boot::STRINGS_MAX_BYTES;
use unikiln_unikernel::Manifest;

use crate::config::Config;
use crate::volume::Volumes;

const PATH_DEFAULT: &[u8] = b"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Errors of this module.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProgramError {
    /// Neither image nor command line name a program.
    #[error("the image names no program to run; give one after the file name")]
    NoProgram,
    /// Too many arguments and environment strings.
    #[error(
        "arguments and environment take {bytes} bytes, more than the limit of {STRINGS_MAX_BYTES}; pass less, or pass it in a file"
    )]
    TooLong {
        /// Bytes needed.
        bytes: u64,
    },
    /// A string with a NUL byte inside.
    #[error("{what} {text:?} contains a NUL byte")]
    Nul {
        /// What the string is.
        what: &'static str,
        /// The string.
        text: String,
    },
    /// An environment setting without name or value.
    #[error("environment setting {text:?} is not KEY=VALUE")]
    BadEnv {
        /// The setting.
        text: String,
    },
    /// A working directory that is not absolute.
    #[error("working directory {text:?} is not absolute")]
    BadWorkingDir {
        /// The directory.
        text: String,
    },
}

/// The strings block and what it holds.
#[derive(Debug, PartialEq, Eq)]
pub struct Program {
    /// See [`unikiln_abi::boot`].
    pub strings: Vec<u8>,
    /// Arguments.
    pub argc: u32,
    /// Environment strings.
    pub envc: u32,
    /// Volumes.
    pub volume_count: u32,
    /// `HOME` is the guest's to set, once it has found the user.
    pub lacks_home: bool,
}

impl Program {
    /// Merges the image's settings with the command line's.
    pub fn new(
        manifest: &Manifest,
        config: &Config,
        volumes: &Volumes,
    ) -> Result<Self, ProgramError> {
        let args = arguments(manifest, config);
        if args.is_empty() {
            return Err(ProgramError::NoProgram);
        }
        let env = environment(manifest, config)?;
        let working_dir = match &config.working_dir {
            Some(dir) => dir.as_bytes(),
            None if manifest.working_dir.is_empty() => b"/",
            None => manifest.working_dir.as_bytes(),
        };
        if !working_dir.starts_with(b"/") {
            return Err(ProgramError::BadWorkingDir {
                text: lossy(working_dir),
            });
        }

        // What a volume brings needs no text.
        let is_brought = |place: &str| {
            config
                .volumes
                .iter()
                .any(|mount| mount.place.as_bytes() == place.as_bytes())
        };
        let resolv_conf = match is_brought("/etc/resolv.conf") {
            true => String::new(),
            false => config.network.resolv_conf(),
        };
        let hosts = match is_brought("/etc/hosts") {
            true => String::new(),
            false => config.network.hosts(&config.hostname.to_string_lossy()),
        };
        let user = config.user.as_deref().unwrap_or_default();
        let mounted = volumes.flags().zip(&config.volumes).map(|(flags, mount)| {
            let mut text = format!("{flags} ").into_bytes();
            text.extend_from_slice(mount.place.as_bytes());
            text
        });
        let mounted: Vec<Vec<u8>> = mounted.collect();
        let mut strings = Vec::with_capacity(4096);
        let parts = [
            ("argument", args.as_slice()),
            ("environment setting", env.as_slice()),
            ("working directory", &[working_dir.to_vec()]),
            ("host name", &[config.hostname.as_bytes().to_vec()]),
            ("name", &[resolv_conf.into_bytes(), hosts.into_bytes()]),
            ("user", &[user.as_bytes().to_vec()]),
            ("volume", mounted.as_slice()),
        ];
        for (what, list) in parts {
            for text in list {
                if text.contains(&0) {
                    let text = lossy(text);
                    return Err(ProgramError::Nul { what, text });
                }
                strings.extend_from_slice(text);
                strings.push(0);
            }
        }
        let bytes = strings.len() as u64;
        if bytes > STRINGS_MAX_BYTES {
            return Err(ProgramError::TooLong { bytes });
        }
        Ok(Self {
            strings,
            // Counts fit: each string takes a byte of a block of 2 MiB.
            argc: args.len() as u32,
            envc: env.len() as u32,
            volume_count: mounted.len() as u32,
            lacks_home: !env.iter().any(|setting| setting.starts_with(b"HOME=")),
        })
    }
}

fn arguments(manifest: &Manifest, config: &Config) -> Vec<Vec<u8>> {
    let image = |list: &[String]| list.iter().map(|text| text.clone().into_bytes()).collect();
    let (mut args, cmd): (Vec<Vec<u8>>, Vec<Vec<u8>>) = match &config.entrypoint {
        Some(list) => (
            list.iter().map(|text| text.as_bytes().to_vec()).collect(),
            Vec::new(),
        ),
        None => (image(&manifest.entrypoint), image(&manifest.cmd)),
    };
    match &config.args {
        Some(list) => args.extend(list.iter().map(|text| text.as_bytes().to_vec())),
        None => args.extend(cmd),
    }
    args
}

/// The image's settings, then the command line's, then what docker adds where
/// both are silent.
fn environment(manifest: &Manifest, config: &Config) -> Result<Vec<Vec<u8>>, ProgramError> {
    let image = manifest.env.iter().map(|text| OsStr::new(text.as_str()));
    let mut env: Vec<Vec<u8>> = Vec::new();
    for setting in image.chain(config.env.iter().map(AsRef::as_ref)) {
        set(&mut env, setting.as_bytes(), true)?;
    }
    let mut hostname = b"HOSTNAME=".to_vec();
    hostname.extend_from_slice(config.hostname.as_bytes());
    for setting in [PATH_DEFAULT, &hostname] {
        set(&mut env, setting, false)?;
    }
    // Another user's is the guest's to find.
    if config.user.is_none() {
        let home = match (manifest.user.home.as_str(), manifest.user.uid) {
            ("", 0) => "/root",
            ("", _) => "/",
            (home, _) => home,
        };
        set(&mut env, format!("HOME={home}").as_bytes(), false)?;
    }
    Ok(env)
}

fn set(env: &mut Vec<Vec<u8>>, setting: &[u8], replace: bool) -> Result<(), ProgramError> {
    let name_bytes = setting
        .iter()
        .position(|&byte| byte == b'=')
        .filter(|&length| length > 0)
        .ok_or_else(|| ProgramError::BadEnv {
            text: lossy(setting),
        })?;
    let name = setting.split_at(name_bytes + 1).0;
    match env.iter_mut().find(|other| other.starts_with(name)) {
        Some(other) if replace => *other = setting.to_vec(),
        Some(_) => {}
        None => env.push(setting.to_vec()),
    }
    Ok(())
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsString;

    fn manifest() -> Manifest {
        Manifest {
            entrypoint: vec!["/bin/echo".into()],
            cmd: vec!["hello".into(), "world".into()],
            env: vec!["A=1".into(), "PATH=/bin".into()],
            ..Manifest::default()
        }
    }

    fn strings(change: impl FnOnce(&mut Config)) -> Result<Vec<String>, ProgramError> {
        let mut config = Config::new("x.uk");
        change(&mut config);
        let program = Program::new(&manifest(), &config, &Volumes::default())?;
        let text = String::from_utf8(program.strings).unwrap();
        let list: Vec<String> = text.split_terminator('\0').map(Into::into).collect();
        assert_eq!(list.len() as u32, program.argc + program.envc + 5);
        Ok(list)
    }

    #[test]
    fn the_image_alone() {
        let list = strings(|_| {}).unwrap();
        let (list, names) = list.split_at(list.len() - 3);
        assert!(names[1].contains("127.0.0.1\tunikiln\n"), "{names:?}");
        assert_eq!(
            list,
            [
                "/bin/echo",
                "hello",
                "world",
                "A=1",
                "PATH=/bin",
                "HOSTNAME=unikiln",
                "HOME=/root",
                "/",
                "unikiln",
            ]
        );
    }

    #[test]
    fn arguments_replace_the_command() {
        let list = strings(|config| config.args = Some(vec!["bye".into()])).unwrap();
        assert_eq!(list[..2], ["/bin/echo", "bye"]);
        assert_eq!(list[2], "A=1");
    }

    #[test]
    fn an_entrypoint_drops_the_command() {
        let list = strings(|config| config.entrypoint = Some(vec!["/bin/ls".into()])).unwrap();
        assert_eq!(list[..2], ["/bin/ls", "A=1"]);
        let none = strings(|config| config.entrypoint = Some(vec![]));
        assert_eq!(none, Err(ProgramError::NoProgram));
    }

    #[test]
    fn environment_settings_replace_by_name() {
        let list = strings(|config| config.env = vec!["A=2".into(), "B=".into()]).unwrap();
        assert_eq!(list[3..6], ["A=2", "PATH=/bin", "B="]);
        for bad in ["=x", "novalue", ""] {
            let error = strings(|config| config.env = vec![bad.into()]).unwrap_err();
            assert!(matches!(error, ProgramError::BadEnv { .. }), "{bad}");
        }
    }

    #[test]
    fn the_home_of_a_named_user_is_the_guests_to_find() {
        let lacks_home = |env: Vec<OsString>| {
            let mut config = Config::new("x.uk");
            config.user = Some("nobody".into());
            config.env = env;
            let mut manifest = manifest();
            manifest.user.home = "/var/www".into();
            let program = Program::new(&manifest, &config, &Volumes::default()).unwrap();
            let strings = String::from_utf8(program.strings).unwrap();
            (program.lacks_home, strings.matches("HOME=").count())
        };
        assert_eq!(lacks_home(vec![]), (true, 0));
        assert_eq!(lacks_home(vec!["HOME=/data".into()]), (false, 1));
    }

    #[test]
    fn limits_and_nul_bytes_are_errors() {
        let long = OsString::from("x".repeat(STRINGS_MAX_BYTES as usize));
        let error = strings(|config| config.args = Some(vec![long])).unwrap_err();
        assert!(matches!(error, ProgramError::TooLong { .. }));
        let error = strings(|config| config.args = Some(vec!["a\0b".into()])).unwrap_err();
        assert!(matches!(error, ProgramError::Nul { .. }));
        let error = strings(|config| config.working_dir = Some("tmp".into())).unwrap_err();
        assert!(matches!(error, ProgramError::BadWorkingDir { .. }));
    }
}
