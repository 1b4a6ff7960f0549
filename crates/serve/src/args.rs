//! The command line, which is also its manual.

use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::http::{HeaderValue, Method, Uri};
use clap::Parser;
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

use crate::budget::Budget;
use crate::machine;

/// Writes captions for clients over HTTP and gRPC.
///
/// Speaks the protocols of TensorFlow Serving (REST and gRPC), Open Inference v2, KServe v1, TorchServe, Hugging Face
/// image-to-text, Ollama and OpenAI, takes form uploads, and shows a page at /. SIGTERM ends it when the requests at hand are
/// answered.
/// Logs are JSON lines on stderr.
#[derive(Debug, Parser)]
#[command(name = "serve", version)]
pub(crate) struct Args {
    /// What export packed, or a checkpoint of train; or a folder of versions such as captions/3/model.safetensors, of which
    /// the highest is served. Several models have a name each, NAME=PATH, or lie in one folder as NAME/3/model.safetensors,
    /// NAME/model.safetensors or NAME.safetensors; the first is meant where a client names none. If nothing is named, the
    /// newest model below data/runs that knows photos, or models/starter.safetensors where that is newer. Newer ones are
    /// taken up while serving.
    #[arg(short, long, value_name = "[NAME=]PATH", num_args = 1..)]
    pub(crate) model: Vec<OsString>,
    /// Name in addresses of a model that has none of its own.
    #[arg(long, default_value = "caption")]
    pub(crate) name: String,
    /// Folder with the published weights of the backbones, for checkpoints; an export holds its own, and tuned ones lie in
    /// the checkpoint's run. NAME.onnx in it is the ONNX network of that name, unless the export holds it.
    #[arg(long, value_name = "FOLDER", default_value = "data/weights")]
    pub(crate) weights: PathBuf,
    /// Address to listen on; 0.0.0.0 opens the server to the network.
    #[arg(long, default_value = "127.0.0.1", value_parser = host)]
    pub(crate) host: IpAddr,
    /// Port of HTTP; 0 takes a free one.
    #[arg(short, long, default_value_t = 8501)]
    pub(crate) port: u16,
    /// Port of gRPC; 0 takes a free one.
    #[arg(long, default_value_t = 8500)]
    pub(crate) grpc_port: u16,
    /// Listens on Ollama's port too, for programs that look for Ollama there; 0 takes a free one.
    #[arg(long, value_name = "PORT", num_args = 0..=1, default_missing_value = "11434")]
    pub(crate) ollama: Option<u16>,
    /// File with a token that clients must send as `Authorization: Bearer TOKEN`.
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// Origin whose pages may call the server from a browser, such as https://example.org; `*` for all. May be repeated.
    #[arg(long, value_name = "ORIGIN", value_parser = origin)]
    pub(crate) cors: Vec<HeaderValue>,
    /// Folder of photos that the page offers to try.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) samples: Option<PathBuf>,
    /// Photos that may be under way; beyond, clients are told to come back (503).
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) queue: u32,
    /// Most photos that a core takes at a time; they are searched together and answered together.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) max_batch: u16,
    /// A request that takes longer is given up (504); so is one whose body takes longer to arrive (408).
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u16).range(1..=3600))]
    pub(crate) deadline_s: u16,
    /// Largest body of a request (413).
    #[arg(long, value_name = "MB", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) max_body_mb: u16,
    /// Most memory for requests: connections, bodies that arrive or wait, and photos that are decoded; the models come on
    /// top. Bytes, or with K, M or G. Not named: half of what the machine or its container has left, 4G at most.
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub(crate) memory: Option<u64>,
    /// How often to look for a newer model.
    #[arg(long, value_name = "SECONDS", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=3600))]
    pub(crate) poll_s: u16,
}

/// Default of `--memory`, where there is more.
const ENOUGH: u64 = 4 << 30;

/// `512M` as bytes.
fn size(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|unit: char| !unit.is_ascii_digit());
    let shift = match text[digits.len()..].to_ascii_uppercase().trim_end_matches('B').trim_end_matches('I') {
        "" => Some(0),
        "K" => Some(10),
        "M" => Some(20),
        "G" => Some(30),
        _ => None,
    };
    let bytes =
        digits.parse::<u64>().ok().zip(shift).and_then(|(number, shift)| number.checked_mul(1 << shift));
    bytes.ok_or_else(|| "a size is a number with K, M or G, such as 512M or 2G".to_owned())
}

/// An origin as browsers send it, or all of them; a page out of a file has the origin `null`.
fn origin(text: &str) -> Result<HeaderValue, String> {
    let named = |uri: &Uri| {
        matches!(uri.scheme_str(), Some("http" | "https")) && uri.path() == "/" && uri.query().is_none()
    };
    let origin =
        matches!(text, "*" | "null") || (text.parse().is_ok_and(|uri| named(&uri)) && !text.ends_with('/'));
    match text.parse() {
        Ok(value) if origin => Ok(value),
        _ => Err("an origin is written as http://localhost:3000, without a path, or * for all".to_owned()),
    }
}

/// An address, in brackets too, as it stands in links.
fn host(text: &str) -> Result<IpAddr, String> {
    let plain = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    match plain {
        "localhost" => Ok(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        other => other.parse().map_err(|_| "name an IP address such as 127.0.0.1, 0.0.0.0 or ::1".to_owned()),
    }
}

impl Args {
    /// For pages of other origins, if there are any.
    pub(crate) fn cors(&self) -> Option<CorsLayer> {
        if self.cors.is_empty() {
            return None;
        }
        let all = self.cors.iter().any(|origin| origin == "*");
        let origins = if all { AllowOrigin::any() } else { AllowOrigin::list(self.cors.clone()) };
        let methods = [Method::GET, Method::HEAD, Method::POST, Method::PUT];
        Some(
            CorsLayer::new()
                .allow_origin(origins)
                .allow_methods(methods)
                .allow_headers(AllowHeaders::mirror_request()),
        )
    }

    /// What `--memory` says, or what there is.
    ///
    /// # Errors
    ///
    /// Less than the largest body needs.
    pub(crate) fn budget(&self) -> anyhow::Result<u64> {
        let least = Budget::least(self.max_body());
        let Some(memory) = self.memory else {
            let free = machine::free_memory(Path::new("/"));
            return Ok(free.map_or(ENOUGH, |free| (free / 2).min(ENOUGH)).max(least));
        };
        anyhow::ensure!(
            memory >= least,
            "--memory is {} MB: bodies of --max-body-mb {} need at least {} MB",
            memory >> 20,
            self.max_body_mb,
            least.div_ceil(1 << 20)
        );
        Ok(memory)
    }

    pub(crate) fn deadline(&self) -> Duration {
        Duration::from_secs(self.deadline_s.into())
    }

    pub(crate) fn max_body(&self) -> usize {
        usize::from(self.max_body_mb) << 20
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        for (text, bytes) in
            [("1000", 1000), ("512M", 512 << 20), ("2g", 2 << 30), ("3GiB", 3 << 30), ("64KB", 64 << 10)]
        {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "M", "-1", "1.5G", "2T", "2 apples", "99999999999G"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn origins_and_hosts_as_people_write_them() {
        for text in ["*", "null", "http://localhost:3000", "https://example.org"] {
            assert_eq!(origin(text).unwrap(), text);
        }
        for text in [
            "",
            "localhost:3000",
            "https://example.org/",
            "https://example.org/a",
            "ftp://example.org",
            "a b",
        ] {
            assert!(origin(text).is_err(), "{text}");
        }
        for (text, address) in
            [("localhost", "127.0.0.1"), ("[::1]", "::1"), ("::1", "::1"), ("0.0.0.0", "0.0.0.0")]
        {
            assert_eq!(host(text).unwrap().to_string(), address);
        }
        assert!(host("example.org").is_err());
    }

    #[test]
    fn memory_holds_the_largest_body() {
        let args = |line: &str| Args::try_parse_from(["serve"].into_iter().chain(line.split(' '))).unwrap();
        assert_eq!(args("--memory 512M").budget().unwrap(), 512 << 20);
        let error = args("--memory 64M --max-body-mb 20").budget().unwrap_err().to_string();
        assert!(error.contains("--memory is 64 MB") && error.contains("at least 160 MB"), "{error}");
        assert!(args("--max-body-mb 1").budget().unwrap() >= 8 << 20);
    }
}
