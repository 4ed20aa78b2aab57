//! An HTTP server that says what a test wants, and remembers what it was asked.
//! One request for each connection.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use super::layout::{self, MANIFEST};

/// What was asked.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    /// With the query.
    pub path: String,
    /// Names in lower case.
    pub headers: HashMap<String, String>,
    pub body: String,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

/// What is answered.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Body,
}

/// How the answer's body comes.
#[derive(Clone, Debug)]
pub enum Body {
    /// With its length.
    Whole(Vec<u8>),
    /// The length of the whole, and a part; then the connection ends.
    Cut(Vec<u8>, usize),
    /// In chunks, so without a length.
    Chunked(Vec<u8>),
    /// In chunks, without end.
    Endless,
    /// The length of the whole, a part, and then nothing until the server ends.
    Stuck(Vec<u8>, usize),
}

impl Reply {
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Body::Whole(body.into()),
        }
    }

    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn body(body: Body) -> Self {
        Self {
            body,
            ..Self::new(200, "")
        }
    }

    pub fn redirect(place: &str) -> Self {
        Self::new(307, "").with("location", place)
    }
}

type Answer = Box<dyn Fn(&Request) -> Reply + Send + Sync>;

/// A running liar.
pub struct Liar {
    port: u16,
    asked: Arc<Mutex<Vec<Request>>>,
    is_over: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Liar {
    pub fn start(answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let asked = Arc::<Mutex<Vec<Request>>>::default();
        let is_over = Arc::<AtomicBool>::default();
        let answer: Arc<Answer> = Arc::new(Box::new(answer));
        let thread = thread::spawn({
            let (asked, is_over) = (Arc::clone(&asked), Arc::clone(&is_over));
            move || {
                for stream in listener.incoming() {
                    if is_over.load(Ordering::Acquire) {
                        return;
                    }
                    let Ok(stream) = stream else { continue };
                    let (asked, answer) = (Arc::clone(&asked), Arc::clone(&answer));
                    let is_over = Arc::clone(&is_over);
                    // A client that goes away is no error of the server.
                    thread::spawn(move || drop(serve(stream, &asked, &answer, &is_over)));
                }
            }
        });
        Self {
            port,
            asked,
            is_over,
            thread: Some(thread),
        }
    }

    pub fn name(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// `127.0.0.1:PORT/a:1`.
    pub fn image(&self) -> String {
        format!("{}/a:1", self.name())
    }

    pub fn asked(&self) -> Vec<Request> {
        self.asked.lock().expect("no thread panics").clone()
    }

    /// Requests whose path has this.
    pub fn asked_for(&self, part: &str) -> Vec<Request> {
        let mut asked = self.asked();
        asked.retain(|request| request.path.contains(part));
        asked
    }
}

impl Drop for Liar {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Release);
        // Wakes the thread up.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(
    stream: TcpStream,
    asked: &Mutex<Vec<Request>>,
    answer: &Answer,
    is_over: &AtomicBool,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let (Some(method), Some(path)) = (words.next(), words.next()) else {
        return Ok(());
    };
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let len = headers
        .get("content-length")
        .and_then(|len| len.parse().ok());
    let mut body = vec![0; len.unwrap_or(0)];
    reader.read_exact(&mut body)?;
    let request = Request {
        method,
        path,
        headers,
        body: String::from_utf8_lossy(&body).into_owned(),
    };
    let reply = answer(&request);
    let is_head = request.method == "HEAD";
    asked.lock().expect("no thread panics").push(request);
    write(stream, reply, is_head, is_over)
}

fn write(
    mut stream: TcpStream,
    reply: Reply,
    is_head: bool,
    is_over: &AtomicBool,
) -> std::io::Result<()> {
    let mut head = format!("HTTP/1.1 {} Lie\r\nconnection: close\r\n", reply.status);
    for (name, value) in &reply.headers {
        head += &format!("{name}: {value}\r\n");
    }
    head += &match &reply.body {
        Body::Whole(bytes) | Body::Cut(bytes, _) | Body::Stuck(bytes, _) => {
            format!("content-length: {}\r\n\r\n", bytes.len())
        }
        Body::Chunked(_) | Body::Endless => "transfer-encoding: chunked\r\n\r\n".to_owned(),
    };
    stream.write_all(head.as_bytes())?;
    if is_head {
        return Ok(());
    }
    match reply.body {
        Body::Whole(bytes) => stream.write_all(&bytes),
        Body::Cut(bytes, len) => stream.write_all(&bytes[..len]),
        Body::Chunked(bytes) => {
            write!(stream, "{:x}\r\n", bytes.len())?;
            stream.write_all(&bytes)?;
            stream.write_all(b"\r\n0\r\n\r\n")
        }
        Body::Endless => {
            let piece = vec![b' '; 64 << 10];
            while !is_over.load(Ordering::Acquire) {
                write!(stream, "{:x}\r\n", piece.len())?;
                stream.write_all(&piece)?;
                stream.write_all(b"\r\n")?;
            }
            Ok(())
        }
        Body::Stuck(bytes, len) => {
            stream.write_all(&bytes[..len])?;
            while !is_over.load(Ordering::Acquire) {
                thread::sleep(std::time::Duration::from_millis(20));
            }
            Ok(())
        }
    }
}

/// An honest image with one layer: what a liar begins with.
#[derive(Clone)]
pub struct Image {
    pub layer: Vec<u8>,
    pub config: Vec<u8>,
    pub manifest: Vec<u8>,
}

impl Image {
    pub fn new() -> Self {
        // Large enough to be cut in the middle, and not all one byte.
        let content: Vec<u8> = (0..300_000u32).map(|number| (number % 251) as u8).collect();
        let layer = layout::layer("data", &content);
        let layers = [layer.clone()];
        let config = layout::config("v1", &layers);
        Self {
            manifest: layout::manifest(&config, &layers),
            config,
            layer,
        }
    }

    pub fn digest(&self) -> String {
        layout::digest(&self.manifest)
    }

    pub fn layer_digest(&self) -> String {
        layout::digest(&self.layer)
    }

    /// Whether the request is for the layer.
    pub fn is_layer(&self, request: &Request) -> bool {
        request.path.contains(&self.layer_digest())
    }

    /// What an honest registry answers, ranges included.
    pub fn honest(&self, request: &Request) -> Reply {
        if request.path.contains("/manifests/") {
            return Reply::new(200, self.manifest.clone())
                .with("content-type", MANIFEST)
                .with("docker-content-digest", &self.digest());
        }
        let config = layout::digest(&self.config);
        let blob = if request.path.contains(&config) {
            &self.config
        } else if self.is_layer(request) {
            &self.layer
        } else {
            return Reply::new(404, "");
        };
        let start = request.header("range").and_then(|range| {
            let start = range.strip_prefix("bytes=")?.strip_suffix('-')?;
            start.parse::<usize>().ok()
        });
        match start {
            Some(start) => Reply::new(206, &blob[start..]).with(
                "content-range",
                &format!("bytes {start}-{}/{}", blob.len() - 1, blob.len()),
            ),
            None => Reply::new(200, blob.clone()),
        }
    }
}
