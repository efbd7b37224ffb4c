//! An application that answers no request before it is told to, so that a test decides how long a request is in flight.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

/// The running application; ends when dropped.
pub(crate) struct Patient {
    pub(crate) address: SocketAddr,
    open: watch::Sender<bool>,
    waiting: Arc<AtomicUsize>,
    _serving: AbortOnDropHandle<()>,
}

impl Patient {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (open, gate) = watch::channel(false);
        let waiting = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&waiting);
        let serving = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(stream, gate.clone(), Arc::clone(&count)));
            }
        });
        Self {
            address,
            open,
            waiting,
            _serving: AbortOnDropHandle::new(serving),
        }
    }

    /// How many requests have come and are not answered.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::SeqCst)
    }

    /// From now on every request is answered at once, those that wait included.
    pub(crate) fn open(&self) {
        self.open.send_replace(true);
    }
}

async fn serve(stream: TcpStream, mut gate: watch::Receiver<bool>, waiting: Arc<AtomicUsize>) {
    let mut stream = BufReader::new(stream);
    loop {
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
                return;
            }
            if line.trim().is_empty() {
                break;
            }
        }
        waiting.fetch_add(1, Ordering::SeqCst);
        let opened = gate.wait_for(|open| *open).await.is_ok();
        waiting.fetch_sub(1, Ordering::SeqCst);
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
        if !opened || stream.write_all(answer).await.is_err() {
            return;
        }
    }
}
