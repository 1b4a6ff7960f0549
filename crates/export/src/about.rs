//! What every text about a captioner says.

use model::captioner_file::CaptionerHeader;

/// Under which files of ours are given away, by its SPDX name.
pub(crate) const LICENSE: &str = "Apache-2.0";

/// What reads what, in a sentence.
pub(crate) fn sentence(header: &CaptionerHeader) -> String {
    let decoders: Vec<&str> = header.decoders.iter().map(|decoder| decoder.name.as_str()).collect();
    let features: Vec<String> = header.features.iter().map(|spec| spec.name()).collect();
    let together = if decoders.len() > 1 { ", by the mean of their probabilities" } else { "" };
    format!(
        "Writes a caption for a photo: features of {} are read by {}{together}.",
        features.join(" and "),
        decoders.join(" and ")
    )
}
