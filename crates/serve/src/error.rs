//! Why a request got no caption, and what each protocol calls that.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use caption::ImageError;
use serde_json::json;
use tonic::{Code, Status};

/// How a body may be packed, as `Accept-Encoding` says it.
const PACKINGS: &str = "gzip, deflate";

/// Why a request got no caption.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServeError {
    /// The request does not say what it wants in a form that is understood.
    #[error("{0}")]
    Malformed(String),
    /// The token is absent or another.
    #[error("send the server's token as `Authorization: Bearer TOKEN`")]
    Unauthorized,
    /// Another model, version or address.
    #[error("{0}")]
    NotFound(String),
    /// The address is right, the method is not.
    #[error("this address does not take that method")]
    Method,
    /// The body did not arrive in time.
    #[error("the request took too long to arrive")]
    SlowBody,
    /// The body, or what it holds, is larger than allowed.
    #[error("{0}")]
    TooLarge(String),
    /// A body of a kind that holds no photo.
    #[error("{0}")]
    MediaType(String),
    /// A body that is packed by other means than ours.
    #[error("a body packed as {0:?} is not unpacked here: send {known}, or the bytes as they are", known = PACKINGS)]
    Packing(String),
    /// The photo cannot be used.
    #[error("the photo cannot be used: {0}")]
    Image(#[from] ImageError),
    /// One of several photos.
    #[error("at index {index}: {error}")]
    At { index: usize, error: Box<ServeError> },
    /// As many photos are under way as may be.
    #[error("the server is busy: try again in a second")]
    Busy,
    /// No answer in time.
    #[error("no caption in time: the server is overloaded, or the photo takes too long")]
    Deadline,
    /// Not the client's fault; the log has the rest.
    #[error("the server failed: {0}")]
    Internal(String),
}

impl ServeError {
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Malformed(_) | Self::Image(ImageError::Empty) => StatusCode::BAD_REQUEST,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::SlowBody => StatusCode::REQUEST_TIMEOUT,
            Self::TooLarge(_) | Self::Image(ImageError::TooLarge { .. } | ImageError::TooMuchMemory) => {
                StatusCode::PAYLOAD_TOO_LARGE
            }
            Self::MediaType(_)
            | Self::Packing(_)
            | Self::Image(ImageError::UnknownFormat(_) | ImageError::Unsupported(_)) => {
                StatusCode::UNSUPPORTED_MEDIA_TYPE
            }
            Self::Image(ImageError::Truncated | ImageError::Damaged(_)) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::At { error, .. } => error.status(),
            Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
            Self::Deadline => StatusCode::GATEWAY_TIMEOUT,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The reason, as a client gets it.
    pub(crate) fn message(&self) -> String {
        brief(&self.to_string())
    }

    /// The same, of one of several photos if it is a photo's fault.
    pub(crate) fn at(self, index: usize) -> ServeError {
        match self {
            Self::Image(_) | Self::TooLarge(_) | Self::Malformed(_) => {
                Self::At { index, error: Box::new(self) }
            }
            other => other,
        }
    }
}

/// Bytes of a word that are left: names pass, photos do not.
const WORD: usize = 48;
/// Bytes of a reason that are left, at its beginning and at its end.
const ENDS: [usize; 2] = [500, 200];

/// A reason without what it repeats of a request: long words are cut, and the middle of a long text.
pub(crate) fn brief(text: &str) -> String {
    let mut cut = String::new();
    for word in text.split_inclusive(|c: char| c.is_whitespace() || c.is_control()) {
        let end = word.trim_end_matches(|c: char| c.is_whitespace() || c.is_control());
        match end.len() > WORD {
            true => cut.extend([&end[..end.floor_char_boundary(WORD - 8)], "… "]),
            false => cut.extend([end, if end.len() < word.len() { " " } else { "" }]),
        }
    }
    let cut = cut.trim_end();
    let [head, tail] = ENDS;
    if cut.len() <= head + tail {
        return cut.to_owned();
    }
    let (head, tail) = (cut.floor_char_boundary(head), cut.ceil_char_boundary(cut.len() - tail));
    format!("{} … {}", &cut[..head], &cut[tail..])
}

/// Why, beside an answer that says so: for protocols that say it in a shape of their own.
#[derive(Clone)]
pub(crate) struct Reason(pub(crate) String);

impl IntoResponse for ServeError {
    /// `{"error": "…"}`, the shape of TensorFlow Serving, KServe, Open Inference and Hugging Face.
    fn into_response(self) -> Response {
        let status = self.status();
        let message = self.message();
        let mut response = (status, Json(json!({ "error": message }))).into_response();
        response.extensions_mut().insert(Reason(message));
        let headers = response.headers_mut();
        match self {
            Self::Busy => headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1")),
            Self::Unauthorized => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
            }
            Self::Packing(_) => headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(PACKINGS)),
            // The rest of the body is on its way, and nobody will read it.
            Self::SlowBody | Self::TooLarge(_) => {
                headers.insert(header::CONNECTION, HeaderValue::from_static("close"))
            }
            _ => None,
        };
        response
    }
}

fn escaped(c: char) -> String {
    if c.is_control() { c.escape_default().to_string() } else { c.to_string() }
}

/// An error with its causes on one line, each said once.
pub(crate) fn line(error: &dyn std::error::Error) -> String {
    let mut line = String::new();
    for cause in std::iter::successors(Some(error), |error| error.source()) {
        let text = cause.to_string();
        let text = text.lines().next().unwrap_or_default();
        if line.is_empty() {
            text.clone_into(&mut line);
        } else if !line.contains(text) {
            line = format!("{line}: {text}");
        }
    }
    // Names of files are printed, and may hold what a terminal takes for commands.
    line.chars().map(escaped).collect()
}

impl From<ServeError> for Status {
    fn from(error: ServeError) -> Status {
        let code = match error.status() {
            _ if matches!(error, ServeError::Packing(_)) => Code::Unimplemented,
            StatusCode::UNAUTHORIZED => Code::Unauthenticated,
            StatusCode::NOT_FOUND => Code::NotFound,
            StatusCode::SERVICE_UNAVAILABLE => Code::Unavailable,
            StatusCode::PAYLOAD_TOO_LARGE => Code::ResourceExhausted,
            StatusCode::GATEWAY_TIMEOUT | StatusCode::REQUEST_TIMEOUT => Code::DeadlineExceeded,
            StatusCode::INTERNAL_SERVER_ERROR => Code::Internal,
            _ => Code::InvalidArgument,
        };
        Status::new(code, error.message())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_repeats_no_photo() {
        assert_eq!(
            brief("there is no setting beams: there are beam_size"),
            "there is no setting beams: there are beam_size"
        );
        let photo = "A".repeat(600_000);
        let text = brief(&format!("found string \"{photo}\", expected a number"));
        assert!(text.starts_with("found string \"AAAA") && text.ends_with("A… expected a number"), "{text}");
        for long in [photo.clone(), "word ".repeat(100_000), "\u{1}".repeat(5000), "\u{1f600}".repeat(5000)] {
            let error = ServeError::Malformed(long).message();
            assert!(error.len() < 800 && !error.contains('\u{1}'), "{error}");
        }
    }
}
