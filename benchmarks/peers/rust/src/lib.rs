//! What every Rust peer does alike: the reply of our own server, the ready line, the limits, and a
//! runtime of one thread. It is `peers/echo_contract.py` in Rust.

use std::fmt::Write as _;
use std::future::Future;
use std::io::{self, Write as _};

use tokio::net::{TcpListener, TcpSocket, TcpStream};

const BACKLOG: u32 = 4096;
/// The largest message that is taken.
pub const MAX_MESSAGE_BYTES: usize = 8 * 1024 * 1024;
const SUFFIX_BYTES: usize = " 999999".len();

/// Returns the bytes of the reply: the message, a space, and a random number below a million.
pub fn reply(message: &[u8]) -> Vec<u8> {
    let mut reply = Vec::with_capacity(message.len() + SUFFIX_BYTES);
    reply.extend_from_slice(message);
    write!(reply, " {}", suffix()).expect("memory takes all that is written");
    reply
}

/// Returns the reply to text.
pub fn text_reply(message: &str) -> String {
    let mut reply = String::with_capacity(message.len() + SUFFIX_BYTES);
    reply.push_str(message);
    write!(reply, " {}", suffix()).expect("memory takes all that is written");
    reply
}

fn suffix() -> u32 {
    fastrand::u32(..1_000_000)
}

/// Serves each connection in a task of its own, on the thread that calls this, until it is killed.
pub fn serve<Serving>(serve_one: impl Fn(TcpStream) -> Serving) -> io::Result<()>
where
    Serving: Future<Output = ()> + Send + 'static,
{
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_io().build()?.block_on(async {
        let listener = listen()?;
        println!("ready ws=ws://{}/", listener.local_addr()?);
        loop {
            let (stream, _) = listener.accept().await?;
            // It fails if the peer has gone already, which serving it will find out.
            let _ = stream.set_nodelay(true);
            tokio::spawn(serve_one(stream));
        }
    })
}

fn listen() -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(([127, 0, 0, 1], 0).into())?;
    socket.listen(BACKLOG)
}
