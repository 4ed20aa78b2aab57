//! Forwarding of ports into a pod's namespace, by a WebSocket.

use std::io::{Read, Write};

use futures_util::{SinkExt, StreamExt};
use tokio_tungstenite::tungstenite::Message;
use unikiln_daemon::streaming::Streaming;

use super::*;

/// Answers each connection with what it said.
fn echo(listener: TcpListener) {
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            std::thread::spawn(move || {
                let mut piece = [0; 4096];
                while let Ok(len @ 1..) = stream.read(&mut piece) {
                    stream.write_all(&piece[..len]).unwrap();
                }
            });
        }
    });
}

#[test]
fn a_port_of_a_pod_is_reached_by_either_family() {
    apart(
        "streaming::a_port_of_a_pod_is_reached_by_either_family",
        &[],
        || {
            let pod = Namespace::create(A).unwrap();
            for address in ["127.0.0.1:80", "[::1]:81"] {
                let bound = namespace::inside(pod.path(), || TcpListener::bind(address).unwrap());
                echo(bound.unwrap());
            }
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .enable_all()
                .build()
                .unwrap();
            let address = "127.0.0.1:0".parse().unwrap();
            let server = Streaming::start(address, runtime.handle().clone()).unwrap();
            let url = server
                .port_forward(Some(pod.path().to_owned()), &[80, 81, 82])
                .unwrap();
            runtime.block_on(async {
                let stream = tokio::net::TcpStream::connect(server.address())
                    .await
                    .unwrap();
                let url = url.replace("http://", "ws://");
                let (mut socket, _) = tokio_tungstenite::client_async(url, stream).await.unwrap();
                for channel in [0, 2] {
                    let message = [&[channel][..], b"ping"].concat();
                    socket.send(Message::binary(message)).await.unwrap();
                }
                let mut heard = Vec::new();
                while heard.len() < 9 {
                    let message = socket.next().await.unwrap().unwrap().into_data();
                    heard.push(message.to_vec());
                }
                heard.sort();
                let ends: Vec<_> = heard
                    .iter()
                    .filter(|message| message.ends_with(b"ping"))
                    .map(|message| message[0])
                    .collect();
                assert_eq!(ends, [0, 2]);
                let error = heard
                    .iter()
                    .find(|message| message[0] == 5 && message.len() > 3)
                    .unwrap();
                assert!(
                    String::from_utf8_lossy(error).contains("port 82 of the pod"),
                    "{error:?}"
                );
            });
            // A pod whose namespace is gone is said to be.
            Namespace::remove(pod.path()).unwrap();
            let url = server
                .port_forward(Some(pod.path().to_owned()), &[80])
                .unwrap();
            runtime.block_on(async {
                let stream = tokio::net::TcpStream::connect(server.address())
                    .await
                    .unwrap();
                let url = url.replace("http://", "ws://");
                let (mut socket, _) = tokio_tungstenite::client_async(url, stream).await.unwrap();
                let mut text = String::new();
                while let Some(Ok(message)) = socket.next().await {
                    text += &String::from_utf8_lossy(&message.into_data());
                }
                assert!(text.contains("no network namespace"), "{text}");
            });
        },
    );
}
