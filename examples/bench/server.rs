//! A server under load, as a unikernel or as a process.

use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::bench::Bench;
use crate::command::tool;
use crate::cpu;

/// Longer than any server takes to listen.
const PATIENCE: Duration = Duration::from_secs(20);
/// Time for a server to end when asked to.
const END: Duration = Duration::from_secs(5);

/// A server that was started; ended when dropped.
pub(crate) struct Server {
    child: Child,
    port: u16,
    stats: PathBuf,
}

impl Server {
    pub(crate) fn start(bench: &Bench, words: &[&str], port: u16) -> Result<Self> {
        let stats = bench.path(&format!("server-{port}"));
        let errors = fs::File::create(&stats).context("cannot write a scratch file")?;
        let (program, args) = words.split_first().context("no command")?;
        let child = Command::new(program)
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(errors)
            .spawn()
            .with_context(|| format!("cannot start {program}"))?;
        let mut server = Self { child, port, stats };
        let started = Instant::now();
        while server.connect().is_err() {
            if let Some(status) = server.child.try_wait()? {
                bail!("{words:?} ended ({status}):\n{}", server.errors());
            }
            ensure!(started.elapsed() < PATIENCE, "{words:?} does not listen");
            thread::sleep(Duration::from_millis(10));
        }
        Ok(server)
    }

    /// Where it listens on loopback.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// A connection to it.
    pub(crate) fn connect(&self) -> std::io::Result<TcpStream> {
        TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))
    }

    /// Puts a load on it; the load's figures, and after them CPU time for each `size` of
    /// what the load says that it was.
    pub(crate) fn load(
        &self,
        size: f64,
        load: impl FnOnce() -> Result<(Vec<f64>, f64)>,
    ) -> Result<Vec<f64>> {
        let ((mut figures, count), used) = cpu::of(self.child.id(), load)?;
        figures.extend(used.figures(count, size));
        Ok(figures)
    }

    fn errors(&self) -> String {
        fs::read_to_string(&self.stats).unwrap_or_default()
    }

    /// Ends it; what `--stats=json` says then.
    pub(crate) fn end(mut self) -> Result<Value> {
        tool(&["kill", "-TERM", &self.child.id().to_string()])?;
        self.child.wait().context("cannot wait for a server")?;
        let text = self.errors();
        let json = text.find('{').map_or("", |at| &text[at..]);
        serde_json::from_str(json).with_context(|| format!("no statistics in {text:?}"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may be over already. Asked first, so that it ends its own processes.
        let _ = tool(&["kill", "-TERM", &self.child.id().to_string()]);
        let asked = Instant::now();
        while asked.elapsed() < END && matches!(self.child.try_wait(), Ok(None)) {
            thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
