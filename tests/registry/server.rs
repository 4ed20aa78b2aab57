//! Debian's docker-registry on a loopback port, ended with the test.

use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::common::image::tool;
use crate::text;

/// More than it takes on a busy machine.
const START_DEADLINE: Duration = Duration::from_secs(60);

/// What a registry asks for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wants {
    /// TLS by a certificate of a CA of its own.
    pub tls: bool,
    /// The user `kiln` with the password `hot`.
    pub password: bool,
    /// A client certificate of the same CA.
    pub client_certificate: bool,
    /// Tokens of a server at this URL.
    pub token_realm: Option<&'static str>,
}

/// A running registry; all of it is gone when it is dropped.
pub struct Server {
    process: Process,
    directory: tempfile::TempDir,
    port: u16,
}

struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // One that is gone already is what is wanted.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Server {
    pub fn start(wants: Wants) -> Self {
        let directory = tempfile::tempdir().expect("temporary directory");
        if wants.tls {
            certificates(directory.path());
        }
        // Another process may take the port in between; then another one is tried.
        for _ in 0..5 {
            let port = free_port();
            let path = directory.path().join("config.yml");
            fs::write(&path, config(directory.path(), port, wants)).expect("a file");
            let child = Command::new("docker-registry")
                .args(["serve", text(&path)])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn();
            let mut process = Process(child.expect("docker-registry starts"));
            if is_up(&mut process.0, port) {
                return Self {
                    process,
                    directory,
                    port,
                };
            }
        }
        panic!("docker-registry does not start");
    }

    /// `127.0.0.1:PORT`, for certificates have that address.
    pub fn name(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// A name of an image in it.
    pub fn image(&self, name: &str) -> String {
        format!("{}/{name}", self.name())
    }

    /// A file of its: `ca.pem`, `client.pem`, `client.key`.
    pub fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Copies `oci:DIR:TAG` there by skopeo.
    pub fn fill(&self, source: &str, name: &str, options: &[&str]) {
        let target = format!("docker://{}", self.image(name));
        let mut args = vec!["copy", "--quiet", "--dest-tls-verify=false"];
        args.extend(options);
        args.extend([source, &target]);
        tool("skopeo", &args);
    }

    /// A manifest as it is there.
    pub fn raw(&self, name: &str) -> serde_json::Value {
        let image = format!("docker://{}", self.image(name));
        let output = Command::new("skopeo")
            .args(["inspect", "--raw", "--tls-verify=false", &image])
            .output()
            .expect("skopeo starts");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        serde_json::from_slice(&output.stdout).expect("a manifest")
    }

    /// Ends it; what it has is gone.
    pub fn stop(self) {
        drop(self.process);
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    listener.local_addr().expect("an address").port()
}

fn is_up(child: &mut Child, port: u16) -> bool {
    let started = Instant::now();
    while started.elapsed() < START_DEADLINE {
        if child.try_wait().expect("the child is ours").is_some() {
            return false;
        }
        if TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return true;
        }
        thread::sleep(Duration::from_millis(20));
    }
    false
}

fn config(directory: &Path, port: u16, wants: Wants) -> String {
    let place = directory.display();
    let mut config = format!(
        "version: 0.1\nlog: {{level: error}}\n\
         storage: {{filesystem: {{rootdirectory: {place}/data}}}}\n\
         http:\n  addr: 127.0.0.1:{port}\n"
    );
    if wants.tls {
        config +=
            &format!("  tls:\n    certificate: {place}/server.pem\n    key: {place}/server.key\n");
    }
    if wants.client_certificate {
        config += &format!("    clientcas: [{place}/ca.pem]\n");
    }
    if wants.password {
        let file = directory.join("htpasswd");
        tool("htpasswd", &["-cbB", text(&file), "kiln", "hot"]);
        config += &format!("auth: {{htpasswd: {{realm: r, path: {place}/htpasswd}}}}\n");
    }
    if let Some(realm) = wants.token_realm {
        config += &format!(
            "auth: {{token: {{realm: {realm:?}, service: s, issuer: i, rootcertbundle: {place}/ca.pem}}}}\n"
        );
    }
    config
}

/// A CA, and certificates of its for 127.0.0.1 and for a client.
fn certificates(directory: &Path) {
    let at = |name: &str| text(&directory.join(name)).to_owned();
    let new_key = [
        "req",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
    ];
    let openssl = |more: &[&str]| {
        let args: Vec<_> = new_key.iter().chain(more).copied().collect();
        tool("openssl", &args);
    };
    openssl(&[
        "-x509",
        "-days",
        "2",
        "-subj",
        "/CN=Kiln test CA",
        "-keyout",
        &at("ca.key"),
        "-out",
        &at("ca.pem"),
    ]);
    for (name, extension) in [
        ("server", "subjectAltName=IP:127.0.0.1"),
        ("client", "extendedKeyUsage=clientAuth"),
    ] {
        let (key, request, certificate) = (
            at(&format!("{name}.key")),
            at(&format!("{name}.csr")),
            at(&format!("{name}.pem")),
        );
        openssl(&[
            "-subj",
            &format!("/CN={name}"),
            "-keyout",
            &key,
            "-out",
            &request,
        ]);
        let extensions = at("extensions");
        fs::write(&extensions, extension).expect("a file");
        tool(
            "openssl",
            &[
                "x509",
                "-req",
                "-days",
                "2",
                "-in",
                &request,
                "-CA",
                &at("ca.pem"),
                "-CAkey",
                &at("ca.key"),
                "-CAcreateserial",
                "-extfile",
                &extensions,
                "-out",
                &certificate,
            ],
        );
    }
}
