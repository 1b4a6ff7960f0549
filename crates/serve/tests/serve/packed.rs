//! Bodies that come packed.

use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use serde_json::json;

use crate::requests::{INFER, PREDICT, tensor};
use crate::server::{Server, photo};

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::best());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

pub(crate) fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut packed = ZlibEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

fn raw_deflate(bytes: &[u8]) -> Vec<u8> {
    let mut packed = DeflateEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

#[test]
fn packed_bodies_are_unpacked_within_the_limits() {
    let server = Server::start(&["--max-body-mb", "1"]);
    let photo = photo(1);
    let caption = server.caption(&photo);
    let text = STANDARD.encode(&photo);
    let rows = json!({ "instances": [{ "b64": text }] }).to_string();
    let infer = tensor(&text).to_string();
    let two = [gzip(&rows.as_bytes()[..100]), gzip(&rows.as_bytes()[100..])].concat();
    let send = |path: &str, encoding: &str, body: &[u8]| {
        server.post_with(path, &[("content-type", "application/json"), ("content-encoding", encoding)], body)
    };
    for (encoding, body) in [
        ("gzip", gzip(rows.as_bytes())),
        ("x-gzip", gzip(rows.as_bytes())),
        ("GZIP", two),
        ("deflate", zlib(rows.as_bytes())),
        ("deflate", raw_deflate(rows.as_bytes())),
        ("identity", rows.clone().into_bytes()),
    ] {
        let answer = send(PREDICT, encoding, &body);
        assert_eq!(answer.ok()["predictions"][0]["caption"], caption.as_str(), "{encoding}");
    }
    let answer = send(INFER, "gzip", &gzip(infer.as_bytes()));
    assert_eq!(answer.ok()["outputs"][0]["data"][0], caption.as_str());
    let kind = [("content-type", "image/png"), ("content-encoding", "gzip")];
    assert_eq!(server.post_with("/predict", &kind, &gzip(&photo)).ok()["caption"], caption.as_str());

    // Said of a request without a body.
    server.call("GET", "/v1/models/caption", &[("content-encoding", "gzip")], b"").ok();
    for encoding in ["br", "zstd", "gzip, deflate", "compress"] {
        let answer = send(PREDICT, encoding, b"whatever");
        assert!(answer.refused(415).contains("send gzip, deflate, or"), "{encoding}");
        assert_eq!(answer.headers["accept-encoding"], "gzip, deflate");
    }
    let whole = gzip(rows.as_bytes());
    for (encoding, body) in [
        ("gzip", &whole[..whole.len() / 2]),
        ("gzip", &whole[..whole.len() - 4]),
        ("gzip", rows.as_bytes()),
        ("deflate", &zlib(rows.as_bytes())[..200]),
        ("deflate", &raw_deflate(rows.as_bytes())[..200]),
    ] {
        let reason = send(PREDICT, encoding, body).refused(400);
        assert!(reason.contains("cut short, or no "), "{encoding}: {reason}");
    }
    // A hundred megabytes in a hundred kilobytes.
    let bomb = gzip(&vec![b' '; 100 << 20]);
    assert!(send(PREDICT, "gzip", &bomb).refused(413).contains("larger than the 1 MB allowed"));
    let bomb = zlib(&vec![0; 100 << 20]);
    assert!(send("/predict", "deflate", &bomb).refused(413).contains("larger than the 1 MB allowed"));
}
