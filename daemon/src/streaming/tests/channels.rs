//! Kubernetes' channels over a WebSocket.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::{SinkExt, StreamExt};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::*;

/// Opens a WebSocket; the subprotocol that the server chose.
pub(super) async fn open(
    url: &str,
    protocols: Option<&str>,
) -> (WebSocketStream<TcpStream>, String) {
    let mut request = url
        .replace("http://", "ws://")
        .into_client_request()
        .unwrap();
    let address = request.uri().authority().unwrap().to_string();
    if let Some(protocols) = protocols {
        request
            .headers_mut()
            .insert("Sec-WebSocket-Protocol", protocols.parse().unwrap());
    }
    let stream = TcpStream::connect(address).await.unwrap();
    let (socket, response) = tokio_tungstenite::client_async(request, stream)
        .await
        .unwrap();
    let chosen = response.headers().get("sec-websocket-protocol");
    let chosen = chosen.map(|value| value.to_str().unwrap().to_owned());
    (socket, chosen.unwrap_or_default())
}

pub(super) async fn next(socket: &mut WebSocketStream<TcpStream>) -> Option<Vec<u8>> {
    loop {
        match socket.next().await?.ok()? {
            Message::Binary(bytes) => return Some(bytes.to_vec()),
            Message::Text(text) => return Some(text.as_bytes().to_vec()),
            Message::Close(frame) => {
                // Without a code it is an error to Kubernetes' clients.
                assert_eq!(frame.map(|frame| frame.code), Some(CloseCode::Normal));
                return None;
            }
            _ => {}
        }
    }
}

fn first(channel: u8, port: u16) -> Vec<u8> {
    [&[channel][..], &port.to_le_bytes()].concat()
}

#[tokio::test]
async fn two_ports_have_two_channels_each() {
    let server = start();
    let ports = [pod(echo).await, pod(echo).await];
    let url = server.port_forward(None, &[]).unwrap();
    let query = format!("{url}?port={}&port={}", ports[0], ports[1]);
    let (mut socket, chosen) = open(&query, Some("v5.channel.k8s.io, v4.channel.k8s.io")).await;
    assert_eq!(chosen, "v4.channel.k8s.io");
    for (channel, port) in [(0, ports[0]), (1, ports[0]), (2, ports[1]), (3, ports[1])] {
        assert_eq!(next(&mut socket).await.unwrap(), first(channel, port));
    }
    socket
        .send(Message::binary(b"\x02two".to_vec()))
        .await
        .unwrap();
    assert_eq!(next(&mut socket).await.unwrap(), b"\x02two");
    // Channels that there are not, and those of errors, are for nobody.
    for message in [&b"\x09x"[..], b"\x01x", b"\x00", b""] {
        socket
            .send(Message::binary(message.to_vec()))
            .await
            .unwrap();
    }
    socket
        .send(Message::binary(b"\x00one".to_vec()))
        .await
        .unwrap();
    assert_eq!(next(&mut socket).await.unwrap(), b"\x00one");
}

#[tokio::test]
async fn base64_is_text() {
    let server = start();
    let port = pod(echo).await;
    let url = server.port_forward(None, &[i32::from(port)]).unwrap();
    let (mut socket, chosen) = open(&url, Some("v4.base64.channel.k8s.io")).await;
    assert_eq!(chosen, "v4.base64.channel.k8s.io");
    for channel in ["0", "1"] {
        let expected = format!("{channel}{}", STANDARD.encode(port.to_le_bytes()));
        assert_eq!(next(&mut socket).await.unwrap(), expected.as_bytes());
    }
    socket.send(Message::text("0aGk=")).await.unwrap();
    assert_eq!(next(&mut socket).await.unwrap(), b"0aGk=");
}

#[tokio::test]
async fn a_port_that_is_closed_is_an_error_on_its_channel() {
    let server = start();
    let port = closed_port().await;
    let url = server.port_forward(None, &[i32::from(port)]).unwrap();
    let (mut socket, chosen) = open(&url, None).await;
    assert_eq!(chosen, "");
    for channel in [0, 1] {
        assert_eq!(next(&mut socket).await.unwrap(), first(channel, port));
    }
    let error = next(&mut socket).await.unwrap();
    let text = String::from_utf8_lossy(&error[1..]).into_owned();
    assert!(
        error[0] == 1 && text.contains("refused") && text.contains(&format!("[::1]:{port}")),
        "{text}"
    );
    assert_eq!(next(&mut socket).await, None);
}

#[tokio::test]
async fn the_end_of_the_pod_ends_the_connection() {
    async fn greet(mut stream: TcpStream) {
        let _ = stream.write_all(b"hello").await;
    }
    let server = start();
    let port = pod(greet).await;
    let url = server.port_forward(None, &[i32::from(port)]).unwrap();
    let (mut socket, _) = open(&url, None).await;
    let mut all = Vec::new();
    while let Some(message) = next(&mut socket).await {
        all.push(message);
    }
    assert_eq!(all, [first(0, port), first(1, port), b"\0hello".to_vec()]);
}

#[tokio::test]
async fn without_a_port_there_is_nothing_to_forward() {
    let server = start();
    let url = server.port_forward(None, &[]).unwrap();
    let headers = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let (head, _) = request(&url, "GET", headers).await;
    assert!(head.starts_with("HTTP/1.1 400 "), "{head}");
    let url = server.port_forward(None, &[80]).unwrap();
    let unknown = format!("{headers}Sec-WebSocket-Protocol: v9.k8s.io\r\n");
    let (head, _) = request(&url, "GET", &unknown).await;
    assert!(head.starts_with("HTTP/1.1 400 "), "{head}");
}
