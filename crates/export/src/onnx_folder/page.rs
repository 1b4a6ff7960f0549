//! The page that captions in the browser, of plain files: it needs no server program, only ONNX Runtime Web in `ort/` beside
//! it, which `scripts/get-onnxruntime-web.sh` puts there. Nothing is fetched here.

/// Looks, with the server's page in common.
const STYLE: &str = include_str!("../../../../assets/page.css");

/// What the page does: what it has in common with the server's, and captions by the files beside it.
pub(super) const SCRIPT: &str =
    concat!(include_str!("../../../../assets/page.js"), include_str!("../../assets/caption.js"));

/// The page.
pub(super) fn html() -> String {
    include_str!("../../assets/index.html").replace("/* page.css */\n", STYLE)
}
