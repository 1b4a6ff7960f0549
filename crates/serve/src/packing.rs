//! Bodies that come packed: `Content-Encoding` of HTTP, `grpc-encoding` of gRPC.

use std::io;

use async_compression::tokio::bufread::{DeflateDecoder, GzipDecoder, ZlibDecoder};
use axum::body::Body;
use axum::http::HeaderValue;
use futures_util::future::Either;
use futures_util::{Stream, TryStreamExt, stream};
use tokio::io::{AsyncBufReadExt, AsyncRead};
use tokio_util::io::{ReaderStream, StreamReader};

use crate::error::ServeError;

/// Bytes that are unpacked at a time, so that limits are seen before they are far behind.
const PIECE: usize = 32 << 10;
/// The method in the first byte of a zlib stream (RFC 1950).
const ZLIB: u8 = 8;

/// How a body is packed.
#[derive(Clone, Copy)]
pub(crate) enum Packing {
    /// RFC 1952.
    Gzip,
    /// RFC 1950, or the RFC 1951 inside it alone: HTTP's name means the first, and clients send both.
    Deflate,
}

impl Packing {
    /// What a header says, if it says that the body is packed at all.
    pub(crate) fn named(header: Option<&HeaderValue>) -> Result<Option<Packing>, ServeError> {
        let Some(header) = header else { return Ok(None) };
        let text = String::from_utf8_lossy(header.as_bytes()).to_ascii_lowercase();
        let mut names = text.split(',').map(str::trim).filter(|name| !matches!(*name, "" | "identity"));
        match (names.next(), names.next()) {
            (None, _) => Ok(None),
            (Some("gzip" | "x-gzip"), None) => Ok(Some(Packing::Gzip)),
            (Some("deflate"), None) => Ok(Some(Packing::Deflate)),
            _ => Err(ServeError::Packing(text)),
        }
    }

    /// The body that is in a packed one, unpacked as it is read.
    pub(crate) fn unpack(self, body: Body) -> Body {
        let packed = StreamReader::new(body.into_data_stream().map_err(io::Error::other));
        match self {
            Packing::Gzip => {
                let mut gzip = GzipDecoder::new(packed);
                gzip.multiple_members(true);
                Body::from_stream(pieces("gzip", gzip))
            }
            Packing::Deflate => Body::from_stream(deflated(packed)),
        }
    }
}

fn pieces(name: &'static str, unpacked: impl AsyncRead) -> impl Stream<Item = io::Result<axum::body::Bytes>> {
    let broken = move |error| io::Error::other(format!("it is cut short, or no {name} ({error})"));
    ReaderStream::with_capacity(unpacked, PIECE).map_err(broken)
}

fn deflated<R: AsyncBufReadExt + Unpin>(mut packed: R) -> impl Stream<Item = io::Result<axum::body::Bytes>> {
    let opened = async move {
        let zlib = packed.fill_buf().await?.first().is_none_or(|first| first & 15 == ZLIB);
        Ok::<_, io::Error>(match zlib {
            true => Either::Left(pieces("zlib", ZlibDecoder::new(packed))),
            false => Either::Right(pieces("deflate", DeflateDecoder::new(packed))),
        })
    };
    stream::once(opened).try_flatten()
}
