//! From the command line to listening, and to the end.

use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use caption::Options;
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tower_http::cors::CorsLayer;

use crate::app::App;
use crate::args::Args;
use crate::budget::Budget;
use crate::engine::Engine;
use crate::http::{self, Samples};
use crate::listen::{self, Door};
use crate::metrics::Metrics;
use crate::models::{Models, Place};
use crate::threads::Threads;
use crate::{error, grpc};

/// Runs the program: 0 ended by a signal, 1 could not start, 2 wrong usage.
pub fn main() -> ExitCode {
    let args = Args::parse();
    tracing_subscriber::fmt().json().flatten_event(true).with_target(false).with_writer(io::stderr).init();
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // To who started it, not to who reads its log. Nobody is left to tell when this fails.
            let _ = writeln!(io::stderr(), "error: {}", error::line(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> anyhow::Result<()> {
    let token = args.token_file.as_deref().map(read_token).transpose()?;
    let samples = match &args.samples {
        Some(folder) => Samples::read(folder).with_context(|| format!("--samples {}", folder.display()))?,
        None => Samples::default(),
    };
    // A port that is taken is known before a model is read.
    let doors = Doors {
        http: bind(args.host, args.port)?,
        grpc: bind(args.host, args.grpc_port)?,
        ollama: args.ollama.map(|port| bind(args.host, port)).transpose()?,
    };
    let metrics = Arc::new(Metrics::new()?);
    let options = Options { weights: args.weights.clone() };
    let places = Place::all(&args.model, &args.name)?;
    let models = Arc::new(Models::open(places, &options, &metrics)?);
    // Of what the models leave.
    let memory = args.budget()?;
    let budget = Arc::new(Budget::new(memory));
    let threads = Arc::new(Threads::new(metrics.clone()));
    let engine =
        Engine::start(args.queue as usize, args.max_batch.into(), budget.clone(), &threads, metrics.clone())?;
    let (watched, counted, every) =
        (models.clone(), metrics.clone(), Duration::from_secs(args.poll_s.into()));
    threads.start("reload", every, move || watched.watch(every, &counted))?;
    let (deadline, max_body) = (args.deadline(), args.max_body());
    let app = Arc::new(App { models, engine, metrics, budget, threads, token, deadline, max_body });
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(listen(doors, app, (samples, args.cors()), memory))
}

/// Where clients come in.
struct Doors {
    http: TcpListener,
    grpc: TcpListener,
    /// The same as `http`, on another port.
    ollama: Option<TcpListener>,
}

fn bind(host: IpAddr, port: u16) -> anyhow::Result<TcpListener> {
    let address = SocketAddr::new(host, port);
    let listener = TcpListener::bind(address).with_context(|| format!("cannot listen on {address}"))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

fn read_token(path: &Path) -> anyhow::Result<String> {
    let bytes = std::fs::read(path).with_context(|| format!("--token-file {}", path.display()))?;
    let text = text(bytes).with_context(|| format!("--token-file {} is no text", path.display()))?;
    // Windows' editors put a byte order mark before it.
    let token = text.trim_start_matches('\u{feff}').trim();
    anyhow::ensure!(!token.is_empty(), "--token-file {} is empty", path.display());
    Ok(token.to_owned())
}

/// Text in UTF-8, or in the UTF-16 that PowerShell writes, which begins with its byte order mark.
fn text(bytes: Vec<u8>) -> Option<String> {
    match bytes.strip_prefix(b"\xff\xfe") {
        Some(pairs) => {
            let (pairs, rest) = pairs.as_chunks::<2>();
            let units: Vec<u16> = pairs.iter().map(|pair| u16::from_le_bytes(*pair)).collect();
            rest.is_empty().then(|| String::from_utf16(&units).ok())?
        }
        None => String::from_utf8(bytes).ok(),
    }
}

/// Serves all protocols until a signal, then lets the requests at hand end.
async fn listen(
    Doors { http, grpc, ollama }: Doors,
    app: Arc<App>,
    (samples, cors): (Samples, Option<CorsLayer>),
    memory: u64,
) -> anyhow::Result<()> {
    let (http_address, grpc_address) = (http.local_addr()?, grpc.local_addr()?);
    let ollama_address = ollama.as_ref().map(TcpListener::local_addr).transpose()?;
    let (stop, stopped) = watch::channel(false);
    let (budget, patience) = (app.budget.clone(), app.deadline);
    let open = |listener, door, router| -> io::Result<JoinHandle<()>> {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let served = listen::serve((listener, door), router, budget.clone(), stopped.clone(), patience);
        Ok(tokio::spawn(served))
    };
    let mut open_doors = vec![open(grpc, Door::Grpc, grpc::router(app.clone(), stopped.clone())?)?];
    let router = http::router(app, samples, cors);
    for listener in [http].into_iter().chain(ollama) {
        open_doors.push(open(listener, Door::Http, router.clone())?);
    }
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let memory_mb = memory >> 20;
    // Said when a signal, too, finds someone who listens.
    let ollama = ollama_address.map(tracing::field::display);
    tracing::info!(http = %http_address, grpc = %grpc_address, ollama, memory_mb, "listening");
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    stop.send_replace(true);
    tracing::info!("draining: no new connections, requests at hand are answered");
    for door in open_doors {
        door.await?;
    }
    tracing::info!("ended");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_however_an_editor_wrote_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        for bytes in
            [&b"secret"[..], b"secret\r\n", b"\xef\xbb\xbfsecret\n", b"\xff\xfes\0e\0c\0r\0e\0t\0\r\0\n\0"]
        {
            std::fs::write(&path, bytes).unwrap();
            assert_eq!(read_token(&path).unwrap(), "secret", "{bytes:?}");
        }
        for (bytes, says) in
            [(&b"\xef\xbb\xbf \n"[..], "is empty"), (b"\xff\xfea", "is no text"), (b"\xe9", "is no text")]
        {
            std::fs::write(&path, bytes).unwrap();
            assert!(read_token(&path).unwrap_err().to_string().ends_with(says));
        }
    }
}
