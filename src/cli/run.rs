//! `unikiln run IMAGE [ARG…]`: pulls and builds where IMAGE is not a unikernel
//! file yet, and boots it in this process.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use clap::builder::NonEmptyStringValueParser;
use clap::{Args, ValueEnum};
use unikiln_builder::registry::{Local, Reference};
use unikiln_builder::{Digest, ImageRef};
use unikiln_vmm::config::Processes;
use unikiln_vmm::{Config, LogFormat, Mount, Stats, Stdin};

use super::build::SourceOptions;
use super::environment;
use super::network::NetworkOptions;
use super::registry::PullOptions;
use crate::progress::Bar;

/// Boot an image or a unikernel file and exit as its program does.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 125 unikiln failed, 126 the program cannot be executed, 127 it \
                        was not found, 128+N signal N ended it, else the program's own."
)]
pub(super) struct Run {
    /// Most memory that the guest may use.
    #[arg(short, long, value_name = "SIZE", default_value = "256M", value_parser = super::size::parse)]
    memory: u64,
    /// vCPUs of the guest, 1 to 16; as many as this process may use where it is left out.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=16))]
    cpus: Option<u32>,
    /// Set an environment variable; a name alone passes this process's value on.
    #[arg(short, long, value_name = "KEY[=VALUE]")]
    env: Vec<String>,
    /// Read environment variables from a file, one on a line.
    #[arg(long, value_name = "FILE")]
    env_file: Vec<PathBuf>,
    /// The program's working directory.
    #[arg(short, long, value_name = "DIR")]
    workdir: Option<OsString>,
    /// Run as this user, names or numbers, instead of the image's; HOME becomes the user's
    /// home unless it is set.
    #[arg(short, long, value_name = "USER[:GROUP]", value_parser = NonEmptyStringValueParser::new())]
    user: Option<String>,
    /// Give the user one more group.
    #[arg(long, value_name = "GID")]
    group_add: Vec<u32>,
    /// Let the program change nothing in the root file system; volumes and /dev/shm stay
    /// writable.
    #[arg(long)]
    read_only: bool,
    /// Let no program gain rights by its set-user-ID bit or capabilities.
    #[arg(long)]
    no_new_privileges: bool,
    /// The host name that the guest sees.
    #[arg(long, value_name = "NAME", default_value = unikiln_vmm::config::HOSTNAME_DEFAULT)]
    hostname: OsString,
    #[command(flatten)]
    network: NetworkOptions,
    /// Pass standard input on; without this it is empty.
    #[arg(short, long)]
    interactive: bool,
    /// Fail where standard output, and with -i standard input, is no terminal. The program has
    /// the terminal in any case.
    #[arg(short, long)]
    tty: bool,
    /// Does nothing: a guest leaves nothing behind.
    #[arg(long)]
    rm: bool,
    /// Show the host's directory or file SRC at DST in the guest; a missing SRC is made a
    /// directory. With :ro the guest cannot change it.
    #[arg(short, long = "volume", value_name = "SRC:DST[:ro]")]
    volumes: Vec<OsString>,
    /// Run this program instead of the image's entrypoint and command.
    #[arg(long, value_name = "PROGRAM")]
    entrypoint: Option<OsString>,
    /// What processes the program may make: none (deny), those that run another program at
    /// once (spawn), or any (fork).
    #[arg(long, value_name = "deny|spawn|fork", default_value = "fork")]
    processes: Processes,
    /// Most processes and threads of the guest; more are refused with EAGAIN.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pids_limit: Option<u32>,
    /// Print boot phases, exits, system calls and memory to standard error at the end.
    #[arg(
        long,
        value_name = "FORMAT",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "text"
    )]
    stats: Option<StatsFormat>,
    /// Write system calls and signals to the log: all, or those of FILTER (names, %file, %desc,
    /// %memory, %process, %signal, %network, with commas; ! in front negates).
    #[arg(
        long,
        value_name = "FILTER",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "all"
    )]
    strace: Option<String>,
    /// Shape of the program's output.
    #[arg(long, value_name = "FORMAT", default_value = "raw")]
    log_format: LogShape,
    #[command(flatten)]
    source: SourceOptions,
    #[command(flatten)]
    pull: PullOptions,
    /// [REGISTRY/]NAME[:TAG][@DIGEST], oci:DIR[:TAG], oci-archive:FILE[:TAG],
    /// docker-archive:FILE[:TAG], host:PROGRAM or a .uk file; then the program's arguments, instead of the image's command.
    // One list, because everything after IMAGE belongs to the program, options too.
    #[arg(value_names = ["IMAGE", "ARG"], required = true, num_args = 1.., trailing_var_arg = true)]
    command: Vec<OsString>,
}

/// How `--stats` writes.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum StatsFormat {
    /// A table.
    Text,
    /// One line of JSON.
    Json,
}

/// How the log is written.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum LogShape {
    /// Both streams as the program wrote them.
    Raw,
    /// Kubernetes log lines, all on standard output.
    Cri,
}

impl Run {
    pub(super) fn execute(mut self, start_tsc: u64) -> Result<u8> {
        let args = self.command.split_off(1);
        let image = self.command.remove(0);
        // Before a build that may take its time.
        let strace = self
            .strace
            .as_deref()
            .map(unikiln_vmm::strace::parse)
            .transpose()?;
        if self.tty {
            ensure!(
                io::stdout().is_terminal() && (!self.interactive || io::stdin().is_terminal()),
                "--tty: standard input or output is no terminal; leave --tty out"
            );
        }
        let network = self.network.to_config()?;
        let volumes = self.volumes.iter().map(|text| Mount::parse(text));
        let volumes = volumes.collect::<Result<_, _>>()?;
        let (file, _open) = self.unikernel(&image)?;
        let mut config = Config::new(file);
        config.memory_bytes = self.memory;
        config.cpus = self.cpus.unwrap_or_else(unikiln_vmm::config::cpus_default);
        config.args = (!args.is_empty()).then_some(args);
        // An empty name: no entrypoint.
        let named = |program: OsString| Vec::from_iter(Some(program).filter(|it| !it.is_empty()));
        config.entrypoint = self.entrypoint.map(named);
        config.env = environment::collect(&self.env_file, &self.env)?
            .into_iter()
            .map(OsString::from)
            .collect();
        config.working_dir = self.workdir;
        config.user = self.user;
        config.groups = self.group_add;
        config.read_only_root = self.read_only;
        config.no_new_privileges = self.no_new_privileges;
        config.hostname = self.hostname;
        config.network = network;
        config.processes = self.processes;
        config.pids_limit = self.pids_limit;
        config.stdin = if self.interactive {
            Stdin::Inherit
        } else {
            Stdin::Empty
        };
        config.log_format = match self.log_format {
            LogShape::Raw => LogFormat::Raw,
            LogShape::Cri => LogFormat::Cri,
        };
        config.strace = strace;
        config.volumes = volumes;
        config.forward_signals = true;
        config.start_tsc = Some(start_tsc);
        let outcome = match unikiln_vmm::run(config) {
            Ok(outcome) => outcome,
            Err(error) => return error.refusal_code().ok_or_else(|| error.into()),
        };
        if let Some(format) = self.stats {
            print_stats(format, &outcome.stats)?;
        }
        Ok(u8::try_from(outcome.exit_code).unwrap_or(u8::MAX))
    }

    /// The file to boot, and what keeps it alive.
    fn unikernel(&self, image: &OsStr) -> Result<(PathBuf, Option<File>)> {
        let text = image.to_string_lossy();
        if is_unikernel_file(&text) {
            ensure!(
                self.source.is_empty() && self.pull.is_empty(),
                "--include, --max-unpacked, --platform, --no-link, --root and options for registries are for \
                 images; {text} is taken as a unikernel file"
            );
            return Ok((PathBuf::from(image), None));
        }
        match ImageRef::parse(&text)? {
            ImageRef::Registry(reference) => self.registry_unikernel(&reference),
            image => self.convert(&image),
        }
    }

    /// What the store has under the name; an image is converted once.
    fn registry_unikernel(&self, reference: &Reference) -> Result<(PathBuf, Option<File>)> {
        let store = self.pull.store.open()?;
        let lease = store.lease()?;
        let options = self.source.to_build_options();
        match self.pull.obtain(&store, reference, options.platform)? {
            Local::Unikernel { path, .. } => {
                ensure!(
                    self.source.is_empty(),
                    "--include, --max-unpacked, --platform and --no-link are for images; {reference} is a \
                     unikernel"
                );
                hold(&path)
            }
            Local::Image { digest } => {
                let digest = Digest::parse(&digest)?;
                hold(&unikiln_builder::build_cached(
                    &lease,
                    &digest,
                    &options,
                    &mut Bar::new(),
                )?)
            }
            Local::Missing => bail!("{reference} is not in the store"),
        }
    }

    fn convert(&self, image: &ImageRef) -> Result<(PathBuf, Option<File>)> {
        let directory = tempfile::Builder::new()
            .prefix("unikiln-")
            .tempdir()
            .context("cannot make a temporary directory; point TMPDIR at a writable one")?;
        let path = directory.path().join("image.uk");
        unikiln_builder::build(
            image,
            &path,
            &self.source.to_build_options(),
            &mut Bar::new(),
        )?;
        // Nothing is left on the disk from here on, however this process ends.
        hold(&path)
    }
}

/// Opens a file that may be removed before it is booted.
fn hold(path: &Path) -> Result<(PathBuf, Option<File>)> {
    let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    Ok((
        PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd())),
        Some(file),
    ))
}

/// Whether IMAGE names a unikernel file: a path, `NAME.uk`, or a file that is there.
pub(super) fn is_unikernel_file(text: &str) -> bool {
    if !matches!(ImageRef::parse(text), Ok(ImageRef::Registry(_)) | Err(_)) {
        return false;
    }
    let path = Path::new(text);
    let is_path = text.starts_with('/') || text.starts_with("./") || text.starts_with("../");
    is_path || path.extension().is_some_and(|uk| uk == "uk") || path.is_file()
}

fn print_stats(format: StatsFormat, stats: &Stats) -> Result<()> {
    match format {
        StatsFormat::Text => eprintln!("{stats}"),
        StatsFormat::Json => eprintln!(
            "{}",
            serde_json::to_string(stats).context("cannot write statistics")?
        ),
    }
    Ok(())
}
