//! From the command line to listening, and to the end.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use caption::Options;
use clap::Parser;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::app::App;
use crate::args::Args;
use crate::engine::{Engine, Policy};
use crate::grpc;
use crate::http::{self, Samples};
use crate::metrics::Metrics;
use crate::models::{Models, Source};

/// Runs the program: 0 ended by a signal, 1 could not start, 2 wrong usage.
pub fn main() -> ExitCode {
    let args = Args::parse();
    tracing_subscriber::fmt().json().flatten_event(true).with_target(false).with_writer(io::stderr).init();
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
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
    let metrics = Arc::new(Metrics::new()?);
    let device = caption::device::parse(&args.device)?;
    let options = Options { device, weights: args.weights.clone() };
    let models = Arc::new(Models::open(args.name.clone(), Source::of(args.model.as_deref()), options)?);
    metrics.version.set(models.served().version as i64);
    let policy =
        Policy { max_batch: args.max_batch.into(), max_wait: Duration::from_millis(args.max_wait_ms.into()) };
    let engine = Engine::start(args.queue as usize, policy, metrics.clone())?;
    let (watched, counted, every) =
        (models.clone(), metrics.clone(), Duration::from_secs(args.poll_s.into()));
    std::thread::Builder::new().name("reload".to_owned()).spawn(move || watched.watch(every, &counted))?;
    let (deadline, max_body) = (args.deadline(), args.max_body());
    let app = Arc::new(App { models, engine, metrics, token, deadline, max_body });
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(listen(args, app, samples))
}

fn read_token(path: &Path) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(path).with_context(|| format!("--token-file {}", path.display()))?;
    let token = text.trim();
    anyhow::ensure!(!token.is_empty(), "--token-file {} is empty", path.display());
    Ok(token.to_owned())
}

/// Serves both protocols until a signal, then lets the requests at hand end.
async fn listen(args: &Args, app: Arc<App>, samples: Samples) -> anyhow::Result<()> {
    let bind = async |port: u16| {
        let address = SocketAddr::new(args.host, port);
        TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))
    };
    let (http, grpc) = (bind(args.port).await?, bind(args.grpc_port).await?);
    let (http_address, grpc_address) = (http.local_addr()?, grpc.local_addr()?);
    tracing::info!(http = %http_address, grpc = %grpc_address, "listening");
    let (stop, stopped) = watch::channel(false);
    let patience = app.deadline;
    let grpc = tokio::spawn(grpc::serve(grpc, app.clone(), stopped.clone(), patience));
    let http = tokio::spawn(http::serve(http, http::router(app, samples), stopped, patience));
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("draining: no new connections, requests at hand are answered");
    stop.send_replace(true);
    http.await?;
    grpc.await??;
    tracing::info!("ended");
    Ok(())
}
