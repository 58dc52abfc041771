//! fastwebsockets, upgraded by hyper, which is how its documentation does it.

use bytes::Bytes;
use echo_trio_benchmark_peers::{MAX_MESSAGE_BYTES, reply, serve};
use fastwebsockets::upgrade::{UpgradeFut, upgrade};
use fastwebsockets::{FragmentCollector, Frame, OpCode, WebSocketError};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;

async fn echo(upgraded: UpgradeFut) -> Result<(), WebSocketError> {
    let mut socket = upgraded.await?;
    socket.set_max_message_size(MAX_MESSAGE_BYTES);
    // Whole messages; text has been checked, pings and closes have been answered.
    let mut socket = FragmentCollector::new(socket);
    loop {
        let frame = socket.read_frame().await?;
        let answer = match frame.opcode {
            OpCode::Text => Frame::text(reply(&frame.payload).into()),
            OpCode::Binary => Frame::binary(reply(&frame.payload).into()),
            OpCode::Close => return Ok(()),
            _ => continue,
        };
        socket.write_frame(answer).await?;
    }
}

async fn answer(mut request: Request<Incoming>) -> Result<Response<Empty<Bytes>>, WebSocketError> {
    let (response, upgraded) = upgrade(&mut request)?;
    tokio::task::spawn(async move {
        // A peer that leaves without a close frame is an error, and none of ours.
        let _ = tokio::task::unconstrained(echo(upgraded)).await;
    });
    Ok(response)
}

fn main() -> std::io::Result<()> {
    serve(|stream| async move {
        let connection =
            http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer));
        let _ = connection.with_upgrades().await;
    })
}
