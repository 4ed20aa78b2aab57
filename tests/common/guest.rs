//! The programs of `tests/guests`. Each names its builds and what is expected
//! of it in directives at its top, `//! NAME: VALUE`:
//!
//! | directive | meaning | default |
//! |---|---|---|
//! | `build` | builds, by comma (see [`Build`]) | `static` |
//! | `flags` | more compiler flags, by space | |
//! | `args`, `env` | arguments and environment, by `\|` | |
//! | `options` | options of `unikiln run`, by space | |
//! | `cpus` | numbers of vCPUs, by comma: one run with each | one run with the default |
//! | `stdin` | `yes`: gets bytes by `-i` | no |
//! | `native` | `no`: is not run on the host for comparison | yes |
//! | `exit` | exit code | 0 |
//! | `record` | words of the crash record, by `\|` | |
//! | `no-record` | `yes`: there must be no crash record | |
//! | `stderr` | words on standard error, by `\|` | |

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, io};

/// How a program is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Build {
    /// glibc, static, fixed address.
    Static,
    /// glibc, static, position-independent.
    StaticPie,
    /// glibc, dynamic, position-independent: Debian's default.
    Pie,
    /// glibc, dynamic, fixed address.
    NoPie,
    /// musl, static.
    MuslStatic,
    /// musl, dynamic.
    MuslDynamic,
    /// Rust with std: dynamic glibc, position-independent.
    Rust,
}

impl Build {
    fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "static" => Self::Static,
            "static-pie" => Self::StaticPie,
            "pie" => Self::Pie,
            "no-pie" => Self::NoPie,
            "musl-static" => Self::MuslStatic,
            "musl-dynamic" => Self::MuslDynamic,
            "rust" => Self::Rust,
            _ => return None,
        })
    }

    /// The word of the directive.
    pub fn name(self) -> &'static str {
        match self {
            Self::Static => "static",
            Self::StaticPie => "static-pie",
            Self::Pie => "pie",
            Self::NoPie => "no-pie",
            Self::MuslStatic => "musl-static",
            Self::MuslDynamic => "musl-dynamic",
            Self::Rust => "rust",
        }
    }

    /// Compiler and the flags that make this build.
    fn compiler(self) -> (&'static str, &'static [&'static str]) {
        match self {
            Self::Static => ("gcc", &["-static"]),
            Self::StaticPie => ("gcc", &["-static-pie"]),
            Self::Pie => ("gcc", &["-pie", "-fPIE"]),
            Self::NoPie => ("gcc", &["-no-pie", "-fno-pie"]),
            Self::MuslStatic => ("musl-gcc", &["-static"]),
            Self::MuslDynamic => ("musl-gcc", &[]),
            Self::Rust => ("rustc", &["--edition", "2024", "-C", "opt-level=1"]),
        }
    }
}

/// One program of `tests/guests`.
#[derive(Clone, Debug)]
pub struct Guest {
    /// File name without its extension.
    pub name: String,
    source: PathBuf,
    flags: Vec<String>,
    /// All builds of it.
    pub builds: Vec<Build>,
    /// Arguments.
    pub args: Vec<String>,
    /// Environment.
    pub env: Vec<String>,
    /// Options of `unikiln run`.
    pub options: Vec<String>,
    /// Numbers of vCPUs to run it with; none for the default.
    pub cpus: Vec<String>,
    /// Whether it reads standard input.
    pub stdin: bool,
    /// Whether it also runs on the host.
    pub native: bool,
    /// Exit code.
    pub exit: i32,
    /// Words of its crash record; `None` where there must be none.
    pub record: Option<Vec<String>>,
    /// Words on standard error.
    pub stderr: Vec<String>,
}

/// All guests of `folder` below the root of the repository, by name.
pub fn all(folder: &str) -> io::Result<Vec<Guest>> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut guests = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "c" || extension == "rs")
        {
            guests.push(Guest::read(&path)?);
        }
    }
    guests.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(guests)
}

impl Guest {
    fn read(source: &Path) -> io::Result<Self> {
        let text = fs::read_to_string(source)?;
        let mut guest = Self {
            name: source
                .file_stem()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned(),
            source: source.to_owned(),
            flags: Vec::new(),
            builds: vec![Build::Static],
            args: Vec::new(),
            env: Vec::new(),
            options: Vec::new(),
            cpus: Vec::new(),
            stdin: false,
            native: true,
            exit: 0,
            record: Some(Vec::new()),
            stderr: Vec::new(),
        };
        let bars = |value: &str| value.split('|').map(str::to_owned).collect::<Vec<_>>();
        let spaces = |value: &str| {
            value
                .split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        // A line without words does not end the directives.
        let lines = text.lines().map_while(|line| line.strip_prefix("//!"));
        for line in lines.map(str::trim) {
            let Some((directive, value)) = line.split_once(": ") else {
                continue;
            };
            match directive {
                "build" => {
                    guest.builds = value
                        .split(", ")
                        .map(|word| {
                            Build::parse(word)
                                .unwrap_or_else(|| panic!("{}: no build {word:?}", guest.name))
                        })
                        .collect();
                }
                "flags" => guest.flags = spaces(value),
                "args" => guest.args = bars(value),
                "env" => guest.env = bars(value),
                "options" => guest.options = spaces(value),
                "cpus" => guest.cpus = value.split(", ").map(str::to_owned).collect(),
                "stdin" => guest.stdin = value == "yes",
                "native" => guest.native = value != "no",
                "exit" => {
                    guest.exit = value
                        .parse()
                        .unwrap_or_else(|_| panic!("{}: exit {value:?}", guest.name))
                }
                "record" => guest.record = Some(bars(value)),
                "no-record" => guest.record = None,
                "stderr" => guest.stderr = bars(value),
                _ => {} // the description itself
            }
        }
        Ok(guest)
    }

    /// The compiler that `build` needs.
    pub fn compiler(build: Build) -> &'static str {
        build.compiler().0
    }

    /// Compiles it unless that was done already, and returns the program.
    pub fn compile(&self, build: Build) -> PathBuf {
        let out = super::cache_dir("guests").join(format!("{}-{}", self.name, build.name()));
        if is_newer(&out, &self.source) {
            return out;
        }
        let folder = self.source.parent().expect("a file is in a folder");
        let (compiler, flags) = build.compiler();
        // Beside its place first: another test may be running the old one.
        let fresh = out.with_extension(super::unique());
        let mut command = Command::new(compiler);
        command
            .current_dir(folder)
            .args(flags)
            .args(&self.flags)
            .arg("-g")
            .arg("-o")
            .arg(&fresh);
        if build != Build::Rust {
            command.args([
                "-O1",
                "-Wall",
                "-Wextra",
                "-Werror",
                "-fno-omit-frame-pointer",
            ]);
        }
        command.arg(self.source.file_name().expect("a file has a name"));
        let output = command
            .output()
            .unwrap_or_else(|error| panic!("cannot start {compiler}: {error}"));
        assert!(
            output.status.success(),
            "{command:?}\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
        fs::rename(&fresh, &out).expect("both names are in one directory");
        out
    }
}

/// Whether `out` was made after its source and the shared headers.
fn is_newer(out: &Path, source: &Path) -> bool {
    let modified = |path: &Path| {
        fs::metadata(path)
            .and_then(|metadata| metadata.modified())
            .ok()
    };
    let Some(made) = modified(out) else {
        return false;
    };
    let is_older = |input: &Path| modified(input).is_some_and(|changed| changed < made);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/guests");
    let mut headers = ["check.h", "inet.h", "killed_midway.h"]
        .iter()
        .map(|name| folder.join(name));
    is_older(source) && headers.all(|header| is_older(&header))
}
