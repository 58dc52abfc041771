//! tokio-tungstenite. `--read-buffer BYTES` is what each connection reads at once: its documentation
//! has 128 KiB, the default, for much traffic, and advises 4 KiB for many connections.

use echo_trio_benchmark_peers::{MAX_MESSAGE_BYTES, reply, serve, text_reply};
use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio_tungstenite::accept_async_with_config;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};

async fn echo(stream: TcpStream, config: WebSocketConfig) -> Result<(), Error> {
    let mut socket = accept_async_with_config(stream, Some(config)).await?;
    while let Some(message) = socket.next().await {
        match message? {
            Message::Text(text) => socket.send(Message::text(text_reply(&text))).await?,
            Message::Binary(data) => socket.send(Message::binary(reply(&data))).await?,
            // Pings and closes are answered by the library, as it is read from.
            _ => {}
        }
    }
    Ok(())
}

fn main() -> std::io::Result<()> {
    let mut config = WebSocketConfig::default().max_message_size(Some(MAX_MESSAGE_BYTES));
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => {}
        ["--read-buffer", bytes] => {
            config = config.read_buffer_size(bytes.parse().expect("a number of bytes"));
        }
        _ => panic!("usage: tokio_tungstenite [--read-buffer BYTES]"),
    }
    serve(move |stream| async move {
        // A peer that leaves without a close frame is an error, and none of ours.
        let _ = echo(stream, config).await;
    })
}
