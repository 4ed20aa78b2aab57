//! A hyper server on tokio's runtime of several threads: bodies come back in upper
//! case; SIGTERM ends it.

use std::convert::Infallible;
use std::net::Ipv6Addr;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut response = Response::new(Full::from("hyper answers\n"));
    match request.into_body().collect().await {
        Ok(body) => {
            let body = body.to_bytes();
            if !body.is_empty() {
                *response.body_mut() = Full::from(body.to_ascii_uppercase());
            }
        }
        Err(_) => *response.status_mut() = StatusCode::BAD_REQUEST,
    }
    Ok(response)
}

#[tokio::main(worker_threads = 2)]
async fn main() -> std::io::Result<()> {
    let mut end = signal(SignalKind::terminate())?;
    let listener = TcpListener::bind((Ipv6Addr::UNSPECIFIED, 80)).await?;
    println!("ready");
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => accepted?.0,
            _ = end.recv() => break,
        };
        tokio::spawn(async move {
            let served = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service_fn(answer))
                .await;
            if let Err(error) = served {
                eprintln!("connection: {error}");
            }
        });
    }
    println!("ended");
    Ok(())
}
