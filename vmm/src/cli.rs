//! The command line: docker's words where docker has them.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use lexopt::Arg::{Long, Short, Value};
use lexopt::{Parser, ValueExt};
use unikiln_abi::strace::CallSet;
use unikiln_vmm::net::Mode;
use unikiln_vmm::{Config, LogFormat, LogTarget, Mount, StatsFormat, Stdin};

/// Help text.
pub(crate) const USAGE: &str = "\
Run one unikernel file.

Usage: unikiln-vmm [OPTIONS] FILE.uk [ARG…]
       unikiln-vmm --spec FILE.json   (a container of the daemon)

  ARG…                  replace the image's command
  --entrypoint P        replace the image's entrypoint and drop its command
  -e, --env K=V         set an environment variable; K alone takes the value from here
  -w, --workdir DIR     working directory
  -h, --hostname NAME   host name (default unikiln)
  -m, --memory SIZE     memory limit, with K, M or G (default 256M)
      --cpus N          vCPUs, 1 to 16 (default: as many as this process may use)
  -p, --publish [IP:]HOST:GUEST[/udp]
                        reach a port of the guest by one of the host (repeatable)
      --network MODE    host: all that this process may do; none: no sockets
                        (default: out to anywhere, in by -p and from this machine)
      --netns PATH      join a network namespace first
      --dns IP          name server instead of the host's (repeatable)
      --add-host NAME:IP  add a line to /etc/hosts (repeatable)
  -i, --interactive     pass standard input on
  -v, --volume S:D[:ro] show the host's directory or file S at D in the guest (repeatable)
      --log-format F    raw (default) or cri
      --log-file PATH   append the log to a file
      --strace[=FILTER] write system calls to the log: all, or names and %file, %desc,
                        %memory, %process, %signal, %network, with commas; ! negates
      --stats[=json]    print what the run cost to standard error
      --help, --version

Exit code: the program's; 125 own failure; 126 not executable; 127 not found;
128+N ended by signal N; 134 guest fault; 137 out of memory.
";

/// Errors of this module.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    /// A malformed command line.
    #[error("{0}; see --help")]
    Usage(lexopt::Error),
    /// No file.
    #[error("no unikernel file given; see --help")]
    NoFile,
    /// A size that is none.
    #[error("{text:?} is no memory size; write 256M or 2G")]
    BadSize {
        /// As given.
        text: String,
    },
    /// An unknown log or statistics format.
    #[error("{text:?} is no format of {option}; see --help")]
    BadFormat {
        /// As given.
        text: String,
        /// The option.
        option: &'static str,
    },
    /// More than one of `--network` and `--netns`.
    #[error("--network and --netns can be given once, and not both")]
    TwoNetworks,
    /// A malformed volume.
    #[error(transparent)]
    Volume(#[from] unikiln_vmm::volume::MountError),
    /// A filter with a wrong name.
    #[error(transparent)]
    Strace(#[from] unikiln_vmm::strace::FilterError),
}

impl From<lexopt::Error> for CliError {
    fn from(error: lexopt::Error) -> Self {
        Self::Usage(error)
    }
}

/// What to do.
#[derive(Debug)]
pub(crate) enum Command {
    /// Print the help text.
    Help,
    /// Print the version.
    Version,
    /// Run a guest.
    Run(Box<Options>),
    /// Run the container that a file describes.
    Container(PathBuf),
}

/// What to run and what to print.
#[derive(Debug)]
pub(crate) struct Options {
    /// The guest.
    pub(crate) config: Config,
    /// Statistics at exit.
    pub(crate) stats: Option<StatsFormat>,
}

/// Reads the command line. Options end at the file name.
pub(crate) fn parse(mut parser: Parser) -> Result<Command, CliError> {
    let mut config = Config::new("");
    config.forward_signals = true;
    let mut stats = None;
    while let Some(argument) = parser.next()? {
        match argument {
            Long("help") => return Ok(Command::Help),
            Long("version") => return Ok(Command::Version),
            Long("spec") => return Ok(Command::Container(parser.value()?.into())),
            Long("entrypoint") => config.entrypoint = Some(entrypoint(parser.value()?)),
            Short('e') | Long("env") => config.env.extend(env_setting(parser.value()?)),
            Short('w') | Long("workdir") => config.working_dir = Some(parser.value()?),
            Short('h') | Long("hostname") => config.hostname = parser.value()?,
            Short('m') | Long("memory") => config.memory_bytes = size(&parser.value()?.string()?)?,
            Long("cpus") => config.cpus = parser.value()?.parse()?,
            Short('p') | Long("publish") => config.network.ports.push(parser.value()?.parse()?),
            Long("network") => set_mode(&mut config, parser.value()?.parse()?)?,
            Long("netns") => set_mode(&mut config, Mode::Namespace(parser.value()?.into()))?,
            Long("dns") => config.network.dns.push(parser.value()?.parse()?),
            Long("add-host") => config.network.hosts.push(parser.value()?.parse()?),
            Short('v') | Long("volume") => config.volumes.push(Mount::parse(&parser.value()?)?),
            Short('i') | Long("interactive") => config.stdin = Stdin::Inherit,
            Long("log-format") => config.log_format = log_format(&parser.value()?.string()?)?,
            Long("log-file") => config.log_target = LogTarget::Path(parser.value()?.into()),
            Long("strace") => config.strace = Some(strace_filter(parser.optional_value())?),
            Long("stats") => stats = Some(stats_format(parser.optional_value())?),
            Value(file) => {
                config.unikernel = PathBuf::from(file);
                let args: Vec<OsString> = parser.raw_args()?.collect();
                config.args = Some(args).filter(|args| !args.is_empty());
                return Ok(Command::Run(Box::new(Options { config, stats })));
            }
            other => return Err(other.unexpected().into()),
        }
    }
    Err(CliError::NoFile)
}

/// A program, or none where its name is empty.
fn entrypoint(program: OsString) -> Vec<OsString> {
    Vec::from_iter(Some(program).filter(|program| !program.is_empty()))
}

/// There is one network.
fn set_mode(config: &mut Config, mode: Mode) -> Result<(), CliError> {
    if config.network.mode != Mode::Published {
        return Err(CliError::TwoNetworks);
    }
    config.network.mode = mode;
    Ok(())
}

/// `K=V` as it is; `K` with the monitor's own value, nothing where it has none.
fn env_setting(setting: OsString) -> Option<OsString> {
    if setting.as_bytes().contains(&b'=') {
        return Some(setting);
    }
    let value = std::env::var_os(&setting)?;
    let mut text = setting.into_vec();
    text.push(b'=');
    text.extend_from_slice(value.as_bytes());
    Some(OsString::from_vec(text))
}

/// Bytes of `256M` and the like; units as docker has them (powers of 1024).
fn size(text: &str) -> Result<u64, CliError> {
    let bad = || CliError::BadSize {
        text: text.to_owned(),
    };
    let lower = text.to_ascii_lowercase();
    let plain = lower.trim_end_matches("ib").trim_end_matches('b');
    let (number, shift) = match plain.char_indices().last() {
        Some((at, 'k')) => (plain.split_at(at).0, 10),
        Some((at, 'm')) => (plain.split_at(at).0, 20),
        Some((at, 'g')) => (plain.split_at(at).0, 30),
        _ => (plain, 0),
    };
    let number: u64 = number.parse().map_err(|_| bad())?;
    number
        .checked_mul(1 << shift)
        .filter(|&bytes| bytes > 0)
        .ok_or_else(bad)
}

fn log_format(text: &str) -> Result<LogFormat, CliError> {
    match text {
        "raw" => Ok(LogFormat::Raw),
        "cri" => Ok(LogFormat::Cri),
        _ => Err(CliError::BadFormat {
            text: text.to_owned(),
            option: "--log-format",
        }),
    }
}

fn strace_filter(value: Option<OsString>) -> Result<CallSet, CliError> {
    let filter = value.unwrap_or_else(|| "all".into());
    Ok(unikiln_vmm::strace::parse(&filter.to_string_lossy())?)
}

fn stats_format(value: Option<OsString>) -> Result<StatsFormat, CliError> {
    match value.as_deref().map(OsStrExt::as_bytes) {
        None | Some(b"text") => Ok(StatsFormat::Text),
        Some(b"json") => Ok(StatsFormat::Json),
        Some(other) => Err(CliError::BadFormat {
            text: String::from_utf8_lossy(other).into_owned(),
            option: "--stats",
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(line: &str) -> Result<Options, CliError> {
        let args = line.split_whitespace();
        match parse(Parser::from_args(args))? {
            Command::Run(options) => Ok(*options),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn options_end_at_the_file() {
        let options = options("-m 64m --stats=json -e A=1 x.uk -e B --stats").unwrap();
        assert_eq!(options.config.memory_bytes, 64 << 20);
        assert_eq!(options.stats, Some(StatsFormat::Json));
        assert_eq!(options.config.env, ["A=1"]);
        assert_eq!(options.config.args.unwrap(), ["-e", "B", "--stats"]);
    }

    #[test]
    fn strace_takes_a_filter_or_all() {
        let set = |line| options(line).unwrap().config.strace;
        assert_eq!(set("x.uk"), None);
        assert_eq!(set("--strace x.uk"), Some(CallSet::ALL));
        let read = set("--strace=read x.uk").unwrap();
        assert!(read.has(0) && !read.has(1));
    }

    #[test]
    fn network_options_add_up() {
        let line = "-p 8080:80 --publish 53:53/udp --dns 9.9.9.9 --add-host db:::1 x.uk";
        let network = options(line).unwrap().config.network;
        assert_eq!(network.mode, Mode::Published);
        assert_eq!(network.ports.len(), 2);
        assert_eq!((network.dns.len(), network.hosts.len()), (1, 1));
        let mode = |line| options(line).unwrap().config.network.mode;
        assert_eq!(mode("--network none x.uk"), Mode::None);
        assert_eq!(mode("--netns /n x.uk"), Mode::Namespace("/n".into()));
    }

    #[test]
    fn volumes_may_be_many() {
        let volumes = options("-v a:/b --volume=/c:/d:ro x.uk")
            .unwrap()
            .config
            .volumes;
        let places: Vec<_> = volumes.iter().map(|it| (&it.place, it.read_only)).collect();
        assert_eq!(places, [(&"/b".into(), false), (&"/d".into(), true)]);
    }

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("4096", 4096),
            ("64k", 64 << 10),
            ("1GiB", 1 << 30),
            ("2g", 2 << 30),
            ("10MB", 10 << 20),
        ] {
            assert_eq!(size(text).unwrap(), bytes, "{text}");
        }
        for text in ["", "m", "-1m", "1x", "0", "99999999999g", "1.5g"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn bad_lines_are_errors() {
        for line in [
            "",
            "--nope x.uk",
            "--log-format xml x.uk",
            "-m",
            "--stats=x f",
            "--strace=nope f",
            "--strace= f",
            "-p 80 f",
            "--network bridge f",
            "--network host --netns /x f",
            "--dns nowhere f",
            "--add-host db f",
            "-v /tmp f",
            "-v /tmp:rel f",
        ] {
            assert!(options(line).is_err(), "{line}");
        }
    }
}
