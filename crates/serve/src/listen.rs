//! Connections of both doors: how many, how slow, and how they end.

use std::io::{self, Cursor};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use hyper::server::conn::{http1, http2};
use hyper::service::Service;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, join};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::budget::Budget;

/// For the head of a request, and between two requests on a connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest head of a request in bytes (431).
const HEAD: usize = 16 << 10;
/// What a connection of HTTP reads at a time.
const BUFFER: usize = 64 << 10;
/// What the system says when it has no file handles left passes.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);
/// Calls at a time on a connection of gRPC.
const CALLS: u32 = 64;
/// What may arrive for a call, and for all calls of a connection, before it is read.
const CALL_WINDOW: u32 = 64 << 10;
const WINDOW: u32 = 256 << 10;
/// How long a connection of gRPC may be without a call. Its clients connect again when they have one.
const IDLE: Duration = Duration::from_secs(300);
/// What a client of HTTP/2 says first (RFC 9113, 3.4), and no request of HTTP/1.1 begins with.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What is spoken on a port.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Door {
    /// HTTP/1.1, or HTTP/2 where a client begins with it.
    Http,
    /// HTTP/2 from the first byte.
    Grpc,
}

/// Answers on `listener` until `stop` turns true, then takes no new connections and waits for the answers under way,
/// `patience` at most.
pub(crate) async fn serve(
    (listener, door): (TcpListener, Door),
    router: Router,
    budget: Arc<Budget>,
    mut stop: watch::Receiver<bool>,
    patience: Duration,
) {
    let graceful = GracefulShutdown::new();
    loop {
        let accepted = async {
            let place = budget.connection().await;
            (listener.accept().await, place)
        };
        let (connection, place) = tokio::select! {
            accepted = accepted => accepted,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        let stream = match connection {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_AGAIN).await;
                continue;
            }
        };
        // Answers are small and written at once: waiting to fill a packet only delays them.
        let _ = stream.set_nodelay(true);
        let (router, watcher) = (router.clone(), graceful.watcher());
        let mut stop = stop.clone();
        tokio::spawn(async move {
            let _place = place;
            let begun = tokio::select! {
                begun = tokio::time::timeout(HEAD_TIMEOUT, begin(stream)) => begun,
                _ = stop.wait_for(|stop| *stop) => return,
            };
            match begun {
                Ok(Ok((true, stream))) => http2(stream, router, watcher).await,
                Ok(Ok((false, stream))) if door == Door::Http => http1(stream, router, watcher).await,
                _ => {}
            }
        });
    }
    drop(listener);
    if tokio::time::timeout(patience, graceful.shutdown()).await.is_err() {
        tracing::warn!("some clients did not finish in time");
    }
}

/// Whether a connection begins with the preface of HTTP/2, and the connection with what was read of it. Pings find clients
/// that are gone only when they have begun.
async fn begin(mut stream: TcpStream) -> io::Result<(bool, impl AsyncRead + AsyncWrite + Unpin)> {
    let mut begun = Vec::with_capacity(PREFACE.len());
    while begun.len() < PREFACE.len() && PREFACE.starts_with(&begun) {
        let missing = (PREFACE.len() - begun.len()) as u64;
        if (&mut stream).take(missing).read_buf(&mut begun).await? == 0 {
            break;
        }
    }
    let whole = begun == PREFACE;
    let (read, write) = stream.into_split();
    Ok((whole, join(Cursor::new(begun).chain(read), write)))
}

async fn http1(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    router: Router,
    watcher: Watcher,
) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_header_size(HEAD)
        .max_buf_size(BUFFER)
        // A client that has sent its request may close that half of the connection, and still wait for its answer.
        .half_close(true)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    // A client that leaves early or speaks no HTTP is no event for us.
    let _ = watcher.watch(connection).await;
}

async fn http2(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    router: Router,
    watcher: Watcher,
) {
    let calls = Calls::default();
    let (counted, service) = (calls.clone(), TowerToHyperService::new(router));
    let service = hyper::service::service_fn(move |request| {
        let call = counted.begin();
        let answer = service.call(request);
        async move {
            let _call = call;
            answer.await
        }
    });
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .keep_alive_interval(HEAD_TIMEOUT)
        .max_concurrent_streams(CALLS)
        .max_header_list_size(HEAD as u32)
        .initial_stream_window_size(CALL_WINDOW)
        .initial_connection_window_size(WINDOW)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(watcher.watch(connection));
    loop {
        let begun = calls.begun();
        tokio::select! {
            _ = &mut connection => return,
            () = tokio::time::sleep(IDLE) => if calls.none_since(begun) { return },
        }
    }
}

/// The calls of a connection: how many began, and how many are under way.
#[derive(Clone, Default)]
struct Calls(Arc<(AtomicUsize, AtomicUsize)>);

impl Calls {
    fn begin(&self) -> Call {
        self.0.0.fetch_add(1, Ordering::AcqRel);
        self.0.1.fetch_add(1, Ordering::AcqRel);
        Call(self.clone())
    }

    fn begun(&self) -> usize {
        self.0.0.load(Ordering::Acquire)
    }

    fn none_since(&self, begun: usize) -> bool {
        self.begun() == begun && self.0.1.load(Ordering::Acquire) == 0
    }
}

struct Call(Calls);

impl Drop for Call {
    fn drop(&mut self) {
        self.0.0.1.fetch_sub(1, Ordering::AcqRel);
    }
}
