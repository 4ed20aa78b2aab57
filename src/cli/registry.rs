//! What every command that talks to a registry takes: credentials, the directory
//! of `hosts.toml` files, when to pull.

use std::io::{self, BufRead, IsTerminal, Write};
use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use clap::{Args, ValueEnum};
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use unikiln_builder::registry::{self, Credentials, Local, Reference};
use unikiln_builder::{Digest, ImageRef, Lease, Platform, Store};

use super::store::StoreOptions;
use crate::progress::Bar;

/// Options for registries.
#[derive(Debug, Args)]
pub(super) struct RegistryOptions {
    /// Who you are at the registry; without a password it is read from standard input. Else
    /// docker's config.json is asked, and its credential helpers.
    #[arg(long, value_name = "USER[:PASSWORD]")]
    creds: Option<String>,
    /// Directory of HOST/hosts.toml files, which are containerd's: mirrors, CAs, plain HTTP
    /// [default: UNIKILN_REGISTRY_CONFIG_DIR, or /etc/unikiln/registries.d].
    #[arg(long, value_name = "DIR")]
    registry_config_dir: Option<PathBuf>,
}

impl RegistryOptions {
    /// Whether none of them is given.
    pub(super) fn is_empty(&self) -> bool {
        self.creds.is_none() && self.registry_config_dir.is_none()
    }

    /// As the builder takes them; may ask for a password.
    pub(super) fn to_options(&self) -> Result<registry::RegistryOptions> {
        let mut options = registry::RegistryOptions {
            credentials: self.creds.as_deref().map(credentials).transpose()?,
            ..registry::RegistryOptions::default()
        };
        if let Some(directory) = &self.registry_config_dir {
            // The default may be missing; one that is named must not.
            ensure!(
                directory.is_dir(),
                "there is no directory {} for --registry-config-dir",
                directory.display()
            );
            options.config_directory.clone_from(directory);
        }
        Ok(options)
    }
}

/// What a name in a registry stands for, on the disk.
pub(super) enum Pulled {
    /// An image of the store, and what keeps it there.
    Image(ImageRef, Lease),
    /// A unikernel file of the store.
    Unikernel(PathBuf),
}

/// When a command pulls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum PullPolicy {
    /// When the store does not have the name.
    Missing,
    /// Each time; blobs that are there are not fetched again.
    Always,
    /// Never.
    Never,
}

/// How a command gets what a registry has.
#[derive(Debug, Args)]
pub(super) struct PullOptions {
    /// When to fetch an image or unikernel that a registry has.
    #[arg(long, value_name = "WHEN", default_value = "missing")]
    pull: PullPolicy,
    #[command(flatten)]
    registry: RegistryOptions,
    #[command(flatten)]
    pub(super) store: StoreOptions,
}

impl PullOptions {
    /// Whether none of them is given.
    pub(super) fn is_empty(&self) -> bool {
        self.pull == PullPolicy::Missing && self.registry.is_empty() && self.store.is_empty()
    }

    /// The image of that name, pulled if need be, as one that lies on the disk for as long as
    /// the lease lives; or the unikernel file that the name stands for.
    pub(super) fn to_local(&self, reference: &Reference, platform: Platform) -> Result<Pulled> {
        let store = self.store.open()?;
        let lease = store.lease()?;
        match self.obtain(&store, reference, platform)? {
            Local::Image { digest } => {
                lease.keep(&Digest::parse(&digest)?)?;
                let image = ImageRef::Oci {
                    directory: store.root().to_owned(),
                    tag: Some(reference.to_string()),
                };
                Ok(Pulled::Image(image, lease))
            }
            Local::Unikernel { path, .. } => Ok(Pulled::Unikernel(path)),
            Local::Missing => bail!("{reference} is not in the store"),
        }
    }

    /// What the store has under the name, after a pull if need be.
    pub(super) fn obtain(
        &self,
        store: &Store,
        reference: &Reference,
        platform: Platform,
    ) -> Result<Local> {
        let name = reference.to_string();
        if self.pull != PullPolicy::Always {
            let local = registry::local(store, &name, platform)?;
            if local != Local::Missing {
                return Ok(local);
            }
            ensure!(
                self.pull != PullPolicy::Never,
                "{name} is not in the store, and --pull=never forbids to fetch it"
            );
        }
        let mut options = self.registry.to_options()?;
        options.platform = platform;
        registry::pull(store, reference, &options, &mut Bar::new())
            .with_context(|| format!("cannot pull {name}"))?;
        let local = registry::local(store, &name, platform)?;
        ensure!(
            local != Local::Missing,
            "{name} was removed from the store while it was to be used"
        );
        Ok(local)
    }
}

fn credentials(text: &str) -> Result<Credentials> {
    let (username, password) = match text.split_once(':') {
        Some((username, password)) => (username, password.to_owned()),
        None => (text, read_password()?),
    };
    ensure!(
        !username.is_empty(),
        "--creds has no user; write USER or USER:PASSWORD"
    );
    Ok(Credentials::Basic {
        username: username.to_owned(),
        password,
    })
}

/// A line of standard input, not shown where that is a terminal.
fn read_password() -> Result<String> {
    let input = io::stdin();
    let shown = if input.is_terminal() {
        eprint!("Password: ");
        // The prompt is a courtesy.
        let _ = io::stderr().flush();
        let shown = tcgetattr(&input).context("cannot ask for a password")?;
        let mut hidden = shown.clone();
        hidden.local_modes.remove(LocalModes::ECHO);
        tcsetattr(&input, OptionalActions::Now, &hidden).context("cannot ask for a password")?;
        Some(shown)
    } else {
        None
    };
    let mut line = String::new();
    let read = input.lock().read_line(&mut line);
    if let Some(shown) = shown {
        eprintln!();
        tcsetattr(&input, OptionalActions::Now, &shown).context("cannot restore the terminal")?;
    }
    read.context("cannot read the password of --creds")?;
    let password = line.trim_end_matches(['\r', '\n']);
    ensure!(
        !password.is_empty(),
        "no password for --creds; write USER:PASSWORD, or the password on standard input"
    );
    Ok(password.to_owned())
}
