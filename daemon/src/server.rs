//! The daemon's process: what it is made of, its socket, its signals, its end.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio_stream::wrappers::UnixListenerStream;
use unikiln_builder::Store;

use crate::cgroup::{Cgroup, CgroupError, Cgroups, Driver};
use crate::config::{CgroupDriver, ConfigError, Options, UNIKERNEL_HANDLER};
use crate::handler::oci::{OciHandler, OciOptions};
use crate::handler::unikernel::{Support, UnikernelHandler};
use crate::handler::{Handler, HandlerError};
use crate::image::layers::Layers;
use crate::image::{Counters, ImageError, Images, LocalImage};
use crate::metrics::{Metrics, endpoint};
use crate::network::Cni;
use crate::node::{Node, NodeError, Parts};
use crate::proto::runtime_service_server::RuntimeServiceServer;
use crate::service::{RuntimeCalls, image_calls};
use crate::state::{ContainerRecord, State, StateError};
use crate::streaming::{Streaming, StreamingError};

/// Where kubelet finds the daemon unless the user says otherwise.
pub const SOCKET_DEFAULT: &str = "/run/unikiln/unikiln.sock";
/// CNI configurations, as every runtime has them.
pub const CNI_CONF_DEFAULT: &str = "/etc/cni/net.d";
/// CNI plugins: where Kubernetes puts them, where Debian does.
pub const CNI_BIN_DEFAULTS: [&str; 2] = ["/opt/cni/bin", "/usr/lib/cni"];
/// What OCI runtimes keep of running containers; empty after a reboot.
const RUN_DIRECTORY: &str = "/run/unikiln";
/// Longest message, as with containerd.
const MESSAGE_MAX_BYTES: usize = 16 << 20;
/// Calls that may run at once; others wait.
const CALLS_MAX: usize = 4096;
/// How long calls may take to end when the daemon is told to stop.
const END_MAX: Duration = Duration::from_secs(10);

/// Why the daemon cannot run.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Options.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The state directory.
    #[error(transparent)]
    State(#[from] StateError),
    /// Images.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The store of images has no place.
    #[error(transparent)]
    Store(#[from] unikiln_builder::StoreError),
    /// Control groups.
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    /// What was found cannot be taken over.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// The server of streams.
    #[error(transparent)]
    Streaming(#[from] StreamingError),
    /// A program that must be there.
    #[error("there is no {what} at {}; {remedy}", path.display())]
    NoProgram {
        /// What it is for.
        what: String,
        /// Where it was looked for.
        path: PathBuf,
        /// What to do.
        remedy: &'static str,
    },
    /// The socket.
    #[error("cannot listen at {}", path.display())]
    Listen {
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Somebody listens there.
    #[error("another server listens at {}; stop it, or give this one another --socket", path.display())]
    SocketInUse {
        /// Where.
        path: PathBuf,
    },
    /// The address of metrics.
    #[error("cannot serve metrics at {address}")]
    Metrics {
        /// Where.
        address: std::net::SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// Threads or signals.
    #[error("cannot start")]
    Start(#[source] io::Error),
    /// gRPC.
    #[error("the gRPC server failed")]
    Serve(#[source] tonic::transport::Error),
}

/// Runs the daemon until SIGTERM or SIGINT.
pub fn serve(options: Options) -> Result<(), ServeError> {
    options.check()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(CALLS_MAX)
        .build()
        .map_err(ServeError::Start)?;
    let served = runtime.block_on(run(options));
    // A call that does not end is not waited for: containers do not need the daemon.
    runtime.shutdown_timeout(Duration::from_secs(1));
    served
}

async fn run(options: Options) -> Result<(), ServeError> {
    let handle = tokio::runtime::Handle::current();
    let socket = options
        .socket
        .clone()
        .unwrap_or_else(|| SOCKET_DEFAULT.into());
    let metrics_address = options.metrics_address;
    let build = tokio::task::spawn_blocking(move || node(options, &handle));
    let (node, images, containers) = build
        .await
        .map_err(|error| ServeError::Start(io::Error::other(error)))??;
    if let Some(address) = metrics_address {
        let failed = |source| ServeError::Metrics { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let bound = listener.local_addr().map_err(failed)?;
        tracing::info!(address = %bound, "metrics are served");
        // They end with the daemon.
        let served = endpoint::serve(listener, Arc::clone(node.metrics()), std::future::pending());
        tokio::spawn(served);
    }
    let listener = listen(&socket).await?;
    tracing::info!(socket = %socket.display(), version = env!("CARGO_PKG_VERSION"), "ready");
    // No notification is asked for outside of systemd; one that fails is its to notice.
    let _ = sd_notify::notify(false, &[sd_notify::NotifyState::Ready]);
    let ending = Arc::new(tokio::sync::Notify::new());
    let told = {
        let (node, ending) = (Arc::clone(&node), Arc::clone(&ending));
        async move {
            wait_for_signal().await;
            let _ = sd_notify::notify(false, &[sd_notify::NotifyState::Stopping]);
            tracing::info!("told to stop; containers run on");
            node.events().close();
            ending.notify_one();
        }
    };
    let runtime_calls = RuntimeServiceServer::new(RuntimeCalls::new(Arc::clone(&node)))
        .max_decoding_message_size(MESSAGE_MAX_BYTES)
        .max_encoding_message_size(MESSAGE_MAX_BYTES);
    let image_calls = image_calls(images, Arc::clone(node.metrics()), containers)
        .max_decoding_message_size(MESSAGE_MAX_BYTES)
        .max_encoding_message_size(MESSAGE_MAX_BYTES);
    let server = tonic::transport::Server::builder()
        .add_service(runtime_calls)
        .add_service(image_calls)
        .serve_with_incoming_shutdown(UnixListenerStream::new(listener), told);
    let too_long = async {
        ending.notified().await;
        tokio::time::sleep(END_MAX).await;
    };
    let served = tokio::select! {
        served = server => served.map_err(ServeError::Serve),
        () = too_long => {
            tracing::warn!("calls still run; they are cut off");
            Ok(())
        }
    };
    // Another daemon may have put its own there.
    let _ = fs::remove_file(&socket);
    served
}

/// SIGTERM or SIGINT.
async fn wait_for_signal() {
    let signals = signal(SignalKind::terminate())
        .and_then(|term| Ok((term, signal(SignalKind::interrupt())?)));
    match signals {
        Ok((mut term, mut interrupt)) => {
            tokio::select! {
                _ = term.recv() => {}
                _ = interrupt.recv() => {}
            }
        }
        Err(error) => {
            tracing::error!(%error, "signals cannot be received; stop the daemon with SIGKILL, which loses nothing");
            std::future::pending::<()>().await;
        }
    }
}

/// What the handler of unikernels needs of the daemon.
struct Shared {
    images: Arc<Images>,
    cgroups: Arc<Cgroups>,
}

impl Support for Shared {
    fn unikernel(&self, image: &LocalImage) -> Result<PathBuf, HandlerError> {
        // The container holds the image, and so its unikernel, for as long as it is there.
        let (path, _) = self
            .images
            .unikernel(image)
            .map_err(|error| HandlerError::Failed(error.story()))?;
        Ok(path)
    }

    fn oom_kills(&self, cgroup: &Cgroup) -> u64 {
        self.cgroups.oom_kills(cgroup)
    }
}

/// Puts the node together.
fn node(
    options: Options,
    handle: &tokio::runtime::Handle,
) -> Result<(Arc<Node>, Arc<Images>, PathBuf), ServeError> {
    let root = match options.root {
        Some(root) => root,
        None => Store::default_root()?,
    };
    let state_path = options.state.unwrap_or_else(|| root.join("state"));
    let state = State::open(&state_path)?;
    let metrics = Arc::new(Metrics::new());
    let default_handler = options
        .default_handler
        .unwrap_or_else(|| UNIKERNEL_HANDLER.to_owned());
    // Whose images are converted when they are pulled; none named means the default.
    let mut converting = vec![UNIKERNEL_HANDLER.to_owned()];
    if default_handler == UNIKERNEL_HANDLER {
        converting.push(String::new());
    }
    let images = Images::open(&root, options.registry_config_dir.as_deref())?
        .with_unikernel_handlers(converting);
    let images = Arc::new(images);
    let driver = match options.cgroup_driver.unwrap_or_default() {
        CgroupDriver::Cgroupfs => Driver::Cgroupfs,
        CgroupDriver::Systemd => Driver::Systemd,
    };
    let monitor = match options.monitor {
        Some(monitor) => monitor,
        None => beside_this("unikiln-vmm")?,
    };
    if !monitor.is_file() {
        return Err(ServeError::NoProgram {
            what: "monitor".to_owned(),
            path: monitor,
            remedy: "`cargo build --release` makes unikiln-vmm beside unikiln; or name it with --monitor",
        });
    }
    let cgroups = Arc::new(Cgroups::open(driver)?);
    let mut handlers = BTreeMap::<String, Arc<dyn Handler>>::new();
    let support = Arc::new(Shared {
        images: Arc::clone(&images),
        cgroups: Arc::clone(&cgroups),
    });
    let unikernel = UnikernelHandler::new(monitor, support);
    handlers.insert(UNIKERNEL_HANDLER.to_owned(), Arc::new(unikernel));
    for (name, handler) in options.handlers {
        let options = OciOptions {
            runtime: handler.runtime,
            runtime_root: run_directory(state.root()).join(&name),
            conmon: handler.conmon,
        };
        let layers = Layers::open(&root)?;
        handlers.insert(name, Arc::new(OciHandler::new(options, layers)));
    }
    let conf_dir = options
        .cni_conf_dir
        .unwrap_or_else(|| CNI_CONF_DEFAULT.into());
    let bin_dirs = match options.cni_bin_dir {
        Some(directory) => vec![directory],
        None => CNI_BIN_DEFAULTS.map(PathBuf::from).into(),
    };
    let streaming_address = options
        .streaming_address
        .unwrap_or_else(|| ([127, 0, 0, 1], 0).into());
    let parts = Parts {
        cgroups,
        cni: Cni::new(conf_dir, bin_dirs, state.root().join("cni")),
        streaming: Streaming::start(streaming_address, handle.clone())?,
        state,
        images: Arc::clone(&images),
        handlers,
        default_handler,
        metrics,
    };
    let containers = parts.state.directory::<ContainerRecord>("");
    let (node, found) = Node::start(parts)?;
    gauges(&node, &images);
    tracing::info!(
        state = %state_path.display(),
        pods = found.pods,
        containers = found.containers,
        running = found.running,
        damaged = found.damaged,
        "state is read"
    );
    Ok((node, images, containers))
}

/// Adds what is counted each time somebody looks.
fn gauges(node: &Arc<Node>, images: &Arc<Images>) {
    type Count = fn(&Node) -> usize;
    let all: [(&str, &str, Count); 3] = [
        ("pods", "Pods that are ready", Node::ready_count),
        ("containers", "Containers that run", Node::running_count),
        ("listeners", "Clients that listen for events", |node| {
            node.events().count()
        }),
    ];
    for (name, help, count) in all {
        let weak = Arc::downgrade(node);
        node.metrics().gauge(name, help, move || {
            weak.upgrade().map_or(0, |node| count(&node) as u64)
        });
    }
    type Total = fn(&Counters) -> u64;
    let totals: [(&str, &str, Total); 2] = [
        (
            "image_conversions",
            "Images made into unikernels so far",
            |counters| counters.conversions,
        ),
        (
            "image_conversion_failures",
            "Images that could not be made into unikernels so far",
            |counters| counters.conversion_failures,
        ),
    ];
    for (name, help, total) in totals {
        let images = Arc::clone(images);
        let read = move || total(&images.counters());
        node.metrics().gauge(name, help, read);
    }
}

/// Of this daemon alone: another one on the machine has another state directory.
fn run_directory(state: &Path) -> PathBuf {
    let name = crc32fast::hash(state.as_os_str().as_encoded_bytes());
    Path::new(RUN_DIRECTORY).join(format!("{name:08x}"))
}

/// A program in the same directory as this one.
fn beside_this(name: &str) -> Result<PathBuf, ServeError> {
    let own = std::env::current_exe().map_err(ServeError::Start)?;
    Ok(own.with_file_name(name))
}

/// Listens, for the owner alone. The socket appears with its permissions.
async fn listen(path: &Path) -> Result<UnixListener, ServeError> {
    let failed = |source| ServeError::Listen {
        path: path.to_owned(),
        source,
    };
    if UnixStream::connect(path).await.is_ok() {
        return Err(ServeError::SocketInUse {
            path: path.to_owned(),
        });
    }
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new("."));
    fs::create_dir_all(parent).map_err(failed)?;
    // In a directory that is ours alone until its permissions are right.
    let private = tempfile::Builder::new()
        .prefix(".u")
        .rand_bytes(4)
        .permissions(Permissions::from_mode(0o700))
        .tempdir_in(parent)
        .map_err(failed)?;
    let first = private.path().join("s");
    let listener = UnixListener::bind(&first).map_err(failed)?;
    fs::set_permissions(&first, Permissions::from_mode(0o600)).map_err(failed)?;
    fs::rename(&first, path).map_err(failed)?;
    Ok(listener)
}
