//! Images, as ImageService and the handlers see them: builder's store and registry client in
//! CRI's words. An image's id is the digest of its configuration; names, tags and digests are
//! what containerd would give.
//!
//! ```text
//! ImageService ─► begin_pull ─► flight ─► registry ─► store ─► unikernel
//!                 list, find, remove, usage ──────────┘ ▲
//! handlers ─────► unikernel, layers, hold ──────────────┘
//! ```
//!
//! | module | what it owns |
//! |---|---|
//! | `name` | names as pods write them |
//! | `catalog` | which images are here |
//! | `pull`, [`Pull`] (`flight`) | bringing them, each once |
//! | [`Keep`] (`unikernel`) | unikernels made of them, and what keeps both |
//! | [`layers`], `volume` | their files as directories: one for each layer, one for all |
//! | `usage` | what they take of the disk |
//! | `counters` | what happened so far |
//! | [`ImageError`] (`error`) | what goes wrong, and its gRPC code |

mod catalog;
mod counters;
mod error;
mod flight;
pub mod layers;
mod name;
mod pull;
mod unikernel;
mod usage;
mod volume;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use unikiln_builder::registry::RegistryOptions;
use unikiln_builder::{Digest, Store, StoreError};

pub use counters::Counters;
pub use error::ImageError;
pub use flight::Pull;
pub use unikernel::Keep;

/// The handler that runs unikernels, unless [`Images::with_unikernel_handlers`] says otherwise;
/// it is the default one, too.
const UNIKERNEL_HANDLERS: [&str; 2] = ["", "unikiln"];

/// An image of the store, as a container's record keeps it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LocalImage {
    /// Digest of its configuration, `sha256:…`: CRI's image id. Of a unikernel that was pushed as
    /// it is, the digest of its manifest.
    pub id: String,
    /// Digest of its manifest for this platform.
    pub manifest: String,
    /// `NAME:TAG`s.
    pub tags: Vec<String>,
    /// `NAME@DIGEST`s; DIGEST is of the manifest or index that was pulled.
    pub digests: Vec<String>,
    /// Bytes of its blobs.
    pub size_bytes: u64,
    /// The user of its configuration, as it is written there.
    pub user: String,
    /// `Entrypoint`.
    pub entrypoint: Vec<String>,
    /// `Cmd`.
    pub cmd: Vec<String>,
    /// `KEY=VALUE`.
    pub env: Vec<String>,
    /// `WorkingDir`; empty where there is none.
    pub working_dir: String,
    /// `StopSignal`; empty where there is none.
    pub stop_signal: String,
    /// Declared volumes.
    pub volumes: Vec<String>,
    /// Of its manifest.
    pub annotations: BTreeMap<String, String>,
}

impl LocalImage {
    /// A name for messages: its first tag or digest, or its id.
    pub fn name(&self) -> &str {
        let names = self.tags.iter().chain(&self.digests);
        names.chain([&self.id]).next().map_or("", String::as_str)
    }
}

/// The images of a node. Clones are the same.
#[derive(Clone, Debug)]
pub struct Images {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    store: Store,
    /// Directory of `HOST/hosts.toml`.
    registry_config: PathBuf,
    /// Handlers for which a pull makes a unikernel; the empty name is the default one.
    unikernel_handlers: BTreeSet<String>,
    flights: Arc<flight::Flights>,
    benches: unikernel::Benches,
    refusals: unikernel::Refusals,
    /// What references lead to, by digest.
    facts: Mutex<HashMap<String, Arc<catalog::Facts>>>,
    counts: Mutex<usage::Counts>,
    counters: counters::Totals,
}

impl Images {
    /// The images of the store at `root`; `registry_config_dir` has `HOST/hosts.toml` files.
    pub fn open(root: &Path, registry_config_dir: Option<&Path>) -> Result<Self, ImageError> {
        let registry_config = match registry_config_dir {
            Some(directory) => directory.to_owned(),
            None => RegistryOptions::default().config_directory,
        };
        let handlers = UNIKERNEL_HANDLERS.map(str::to_owned);
        let store = Store::open(root)?;
        Ok(Self::new(store, registry_config, handlers.into()))
    }

    /// With other handlers that run unikernels; the empty name is the default handler. To be
    /// called before the images are used.
    #[must_use]
    pub fn with_unikernel_handlers(self, names: impl IntoIterator<Item = String>) -> Self {
        let Shared {
            store,
            registry_config,
            ..
        } = &*self.shared;
        let handlers = names.into_iter().collect();
        Self::new(store.clone(), registry_config.clone(), handlers)
    }

    fn new(store: Store, registry_config: PathBuf, handlers: BTreeSet<String>) -> Self {
        Self {
            shared: Arc::new(Shared {
                store,
                registry_config,
                unikernel_handlers: handlers,
                flights: Arc::default(),
                benches: unikernel::Benches::default(),
                refusals: unikernel::Refusals::default(),
                facts: Mutex::default(),
                counts: Mutex::default(),
                counters: counters::Totals::default(),
            }),
        }
    }

    /// The content store.
    pub fn store(&self) -> &Store {
        &self.shared.store
    }

    /// What was pulled and converted since the start.
    pub fn counters(&self) -> Counters {
        self.shared.counters.now()
    }

    /// How many callers wait for pulls now.
    pub fn waiting(&self) -> usize {
        self.shared.flights.passengers()
    }

    /// Removes the image of a name, a name with digest or an id, with all its names. One that is
    /// not here is no error. What a container holds stays until that is gone.
    pub fn remove(&self, text: &str) -> Result<(), ImageError> {
        let names = match self.entry(text)? {
            Some(entry) => entry.names,
            // Of one that is not all here, there may still be a name.
            None => name::parse(text)
                .map(|reference| vec![reference.to_string()])
                .unwrap_or_default(),
        };
        let mut is_removed = false;
        for name in names {
            match self.shared.store.remove_reference(&name) {
                // It is not here, or another process was faster.
                Err(StoreError::UnknownReference { .. }) => {}
                removed => {
                    removed?;
                    is_removed = true;
                }
            }
        }
        if is_removed { self.collect() } else { Ok(()) }
    }

    /// Removes what nobody needs.
    fn collect(&self) -> Result<(), ImageError> {
        let freed = self.shared.store.collect()?.total();
        self.shared.forget_usage();
        tracing::debug!(files = freed.count, bytes = freed.bytes, "collected");
        Ok(())
    }

    /// What ImageStatus says of an image when it is asked for more, as JSON.
    pub fn info(&self, image: &LocalImage) -> Result<serde_json::Value, ImageError> {
        let store = &self.shared.store;
        let config = if image.id == image.manifest {
            // A unikernel that was pushed as it is has none.
            serde_json::Value::Null
        } else {
            let digest = Digest::parse(&image.id).map_err(StoreError::Digest)?;
            let bytes = store.blob(&digest)?.read(catalog::DOCUMENT_MAX_BYTES)?;
            serde_json::from_slice(&bytes).map_err(|source| StoreError::NotAnImage {
                digest: image.id.clone(),
                source,
            })?
        };
        let unikernel = self.known_unikernel(image)?;
        Ok(serde_json::json!({
            "imageSpec": config,
            "manifest": image.manifest,
            "unikernel": unikernel,
        }))
    }
}

impl Shared {
    fn is_unikernel_handler(&self, name: &str) -> bool {
        self.unikernel_handlers.contains(name)
    }

    fn forget_usage(&self) {
        self.counts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }
}
