//! `GET /metrics` over HTTP/1.1: the daemon's metrics for Prometheus.
//!
//! It shows numbers alone, yet it is for the operator's network: bind it to loopback or to the
//! node's address. A client that is slow, silent or one too many costs nothing that lasts.

use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use super::Metrics;

/// Prometheus's text format.
const FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Connections at a time; one more waits.
const CONNECTIONS: usize = 16;

/// From a connection to its end: a look takes milliseconds.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(60);

/// From a connection to the end of a request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// After an `accept` that failed for lack of descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves until `stop` is there.
pub async fn serve(listener: TcpListener, metrics: Arc<Metrics>, stop: impl Future<Output = ()>) {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    let mut stop = pin!(stop);
    loop {
        let next = async {
            // Never closed.
            let place = Arc::clone(&room).acquire_owned().await.ok();
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            () = &mut stop => return,
            next = next => next,
        };
        match accepted {
            Ok((stream, _)) => {
                let metrics = Arc::clone(&metrics);
                tokio::spawn(async move {
                    talk(stream, metrics).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "metrics: a connection was not taken");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn talk(stream: TcpStream, metrics: Arc<Metrics>) {
    let service = service_fn(move |request| {
        let response = answer(&request, &metrics);
        async move { Ok::<_, Infallible>(response) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service);
    match tokio::time::timeout(CONNECTION_TIMEOUT, connection).await {
        Ok(Ok(())) | Err(_) => {}
        Ok(Err(error)) => tracing::debug!(%error, "metrics: a connection broke"),
    }
}

fn answer(request: &Request<Incoming>, metrics: &Metrics) -> Response<Full<Bytes>> {
    let (status, text) = match (request.uri().path(), request.method()) {
        ("/metrics", &Method::GET | &Method::HEAD) => match metrics.text() {
            Ok(text) => (StatusCode::OK, text),
            Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
        },
        ("/metrics", _) => (StatusCode::METHOD_NOT_ALLOWED, "only GET\n".to_owned()),
        _ => (StatusCode::NOT_FOUND, "see /metrics\n".to_owned()),
    };
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(FORMAT));
    if status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    }
    response
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::SocketAddr;
    use std::thread;

    use tokio::sync::oneshot;

    use super::*;

    /// A server for as long as `work` takes.
    fn with_server(work: impl FnOnce(SocketAddr, &Metrics)) {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let metrics = Arc::new(Metrics::new());
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let stopped = async {
            let _ = stopped.await;
        };
        let server = runtime.spawn(serve(listener, Arc::clone(&metrics), stopped));
        work(address, &metrics);
        stop.send(()).unwrap();
        runtime.block_on(server).unwrap();
    }

    fn ask(address: SocketAddr, request: &str) -> String {
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn request(method: &str, path: &str) -> String {
        format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    }

    #[test]
    fn prometheus_gets_its_text() {
        with_server(|address, metrics| {
            metrics.exit("Completed");
            let answer = ask(address, &request("GET", "/metrics?x=1"));
            let (head, body) = answer.split_once("\r\n\r\n").unwrap();
            assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
            assert!(head.contains(FORMAT), "{head}");
            assert_eq!(body, metrics.text().unwrap());
            assert!(body.contains("unikiln_container_exits_total{reason=\"Completed\"} 1\n"));
            let answer = ask(address, &request("HEAD", "/metrics"));
            assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\n"));
        });
    }

    #[test]
    fn other_requests_are_refused() {
        with_server(|address, _| {
            let status = |request: &str| ask(address, request).lines().next().unwrap().to_owned();
            assert_eq!(status(&request("GET", "/")), "HTTP/1.1 404 Not Found");
            let post = status(&request("POST", "/metrics"));
            assert_eq!(post, "HTTP/1.1 405 Method Not Allowed");
            assert_eq!(status("nonsense\r\n\r\n"), "HTTP/1.1 400 Bad Request");
        });
    }

    #[test]
    fn many_clients_and_silent_ones() {
        with_server(|address, _| {
            let silent: Vec<_> = (1..CONNECTIONS)
                .map(|_| std::net::TcpStream::connect(address).unwrap())
                .collect();
            let clients: Vec<_> = (0..8)
                .map(|_| thread::spawn(move || ask(address, &request("GET", "/metrics"))))
                .collect();
            for client in clients {
                assert!(client.join().unwrap().starts_with("HTTP/1.1 200"));
            }
            drop(silent);
        });
    }
}
