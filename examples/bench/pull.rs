//! From a registry to a running unikernel, against what any runtime does before
//! it can start a container: `skopeo copy` and `umoci unpack` of the same image.
//!
//! The registry is Debian's docker-registry on loopback. Both images have one
//! large layer of this machine's /usr in common, and a small one each. Every turn
//! begins with an empty store, and the second image with the first one in it.

use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::bench::{Bench, text};
use crate::build_time::write_tar;
use crate::command::tool;
use crate::measure::{Samples, in_turns};
use crate::report::{Row, Section, Target};

const IMAGES: [&str; 2] = ["one", "two"];
/// More than docker-registry takes to start.
const PATIENCE: Duration = Duration::from_secs(60);

/// Two ratios.
pub(crate) fn measure(bench: &Bench) -> Result<Vec<Section>> {
    let mib = bench.scale(100, 8);
    let registry = Registry::start(bench)?;
    let layout = text(bench.path("pull-layout"))?;
    fill(bench, &registry, &layout, (mib as u64) << 20)?;
    let store = text(bench.path("pull-store"))?;
    let copied = text(bench.path("pull-copied"))?;
    let names = IMAGES.map(|image| registry.image(image));
    let run = |name: &str| -> Result<f64> {
        let words = [bench.unikiln(), "run", "--root", &store, name];
        let finished = bench.runner.run(&words)?;
        ensure!(!finished.stdout.is_empty(), "{name} said nothing");
        Ok(finished.total_ms())
    };
    let mut sides = in_turns(
        bench.rounds,
        &mut [
            &mut || {
                let first = run(&names[0])?;
                let second = run(&names[1])?;
                remove(&store)?;
                Ok(vec![first, second])
            },
            &mut || {
                let from = format!("docker://{}", names[0]);
                let to = format!("oci:{copied}/layout:one");
                let image = format!("{copied}/layout:one");
                let bundle = format!("{copied}/bundle");
                fs::create_dir(&copied).with_context(|| format!("cannot make {copied}"))?;
                let copy = [
                    "skopeo",
                    "copy",
                    "--quiet",
                    "--src-tls-verify=false",
                    &from,
                    &to,
                ];
                let unpack = ["umoci", "unpack", "--image", &image, &bundle];
                let copy = bench.runner.run(&copy)?.total_ms();
                let unpack = bench.runner.run(&unpack)?.total_ms();
                remove(&copied)?;
                Ok(vec![copy + unpack])
            },
        ],
    )?;
    let mut side =
        |index: usize, figure: usize| -> Samples { std::mem::take(&mut sides[index][figure]) };
    let (first, second, theirs) = (side(0, 0), side(0, 1), side(1, 0));
    let what = format!("pull, convert, run: an image of {mib} MiB");
    let rows = vec![
        Row::cost(
            what,
            "ms",
            first.clone(),
            "skopeo copy, umoci unpack",
            theirs,
        ),
        Row::cost(
            "the same: a second image that shares its large layer",
            "ms",
            second,
            "the first",
            first,
        )
        .target(Target::AtMost(0.3)),
    ];
    Ok(vec![Section::new("pull", rows)])
}

fn remove(directory: &str) -> Result<()> {
    fs::remove_dir_all(directory).with_context(|| format!("cannot remove {directory}"))
}

/// Makes both images and puts them into the registry.
fn fill(bench: &Bench, registry: &Registry, layout: &str, bytes: u64) -> Result<()> {
    let base = text(bench.path("pull-base.tar"))?;
    write_tar(&base, bytes)?;
    let program = bench.guest("hello")?;
    let program = program.trim_start_matches('/');
    tool(&["umoci", "init", "--layout", layout])?;
    for name in IMAGES {
        let top = text(bench.path(&format!("pull-{name}.tar")))?;
        let place = format!("--transform=s,^.*$,{name}/hello,");
        tool(&["tar", "-cf", &top, "-C", "/", &place, program])?;
        let image = format!("{layout}:{name}");
        tool(&["umoci", "new", "--image", &image])?;
        for layer in [&base, &top] {
            tool(&["umoci", "raw", "add-layer", "--image", &image, layer])?;
        }
        let entrypoint = format!("/{name}/hello");
        let option = "--config.entrypoint";
        tool(&["umoci", "config", "--image", &image, option, &entrypoint])?;
        let (from, to) = (
            format!("oci:{image}"),
            format!("docker://{}", registry.image(name)),
        );
        tool(&[
            "skopeo",
            "copy",
            "--quiet",
            "--dest-tls-verify=false",
            &from,
            &to,
        ])?;
    }
    Ok(())
}

/// docker-registry; ended when dropped.
struct Registry {
    child: Child,
    port: u16,
}

impl Registry {
    fn start(bench: &Bench) -> Result<Self> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .and_then(|listener| listener.local_addr())
            .context("no free port")?
            .port();
        let (data, config) = (
            text(bench.path("registry"))?,
            text(bench.path("registry.yml"))?,
        );
        let said = format!(
            "version: 0.1\nlog: {{level: error}}\n\
             storage: {{filesystem: {{rootdirectory: {data}}}}}\n\
             http: {{addr: '127.0.0.1:{port}'}}\n"
        );
        fs::write(&config, said).with_context(|| format!("cannot write {config}"))?;
        let child = Command::new("docker-registry")
            .args(["serve", &config])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start docker-registry")?;
        let mut registry = Self { child, port };
        let started = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            let ended = registry.child.try_wait().context("cannot wait for it")?;
            ensure!(
                ended.is_none() && started.elapsed() < PATIENCE,
                "docker-registry does not start"
            );
            thread::sleep(Duration::from_millis(20));
        }
        Ok(registry)
    }

    fn image(&self, name: &str) -> String {
        format!("127.0.0.1:{}/bench/{name}:1", self.port)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        // One that is gone already is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
