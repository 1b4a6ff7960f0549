//! The captions of a video as subtitles.

use std::fmt::Write;

use super::CaptionedShot;

/// SubRip: numbered cues, a comma before the milliseconds.
pub fn srt(shots: &[CaptionedShot]) -> String {
    let mut text = String::new();
    for (number, shot) in (1..).zip(shots) {
        let [start, end] = [shot.shot.start, shot.shot.end].map(|time| timestamp(time, ','));
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{number}\n{start} --> {end}\n{}\n", shot.best().caption);
    }
    text
}

/// WebVTT (<https://www.w3.org/TR/webvtt1/>): a header, a point before the milliseconds, `&` and `<` escaped.
pub fn vtt(shots: &[CaptionedShot]) -> String {
    let mut text = "WEBVTT\n\n".to_owned();
    for shot in shots {
        let [start, end] = [shot.shot.start, shot.shot.end].map(|time| timestamp(time, '.'));
        let caption = shot.best().caption.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        let _ = writeln!(text, "{start} --> {end}\n{caption}\n");
    }
    text
}

/// Seconds as `hours:minutes:seconds.milliseconds`.
pub fn timestamp(seconds: f64, point: char) -> String {
    let milliseconds = (seconds * 1000.0).round() as u64;
    let (seconds, milliseconds) = (milliseconds / 1000, milliseconds % 1000);
    let (minutes, seconds) = (seconds / 60, seconds % 60);
    format!("{:02}:{:02}:{seconds:02}{point}{milliseconds:03}", minutes / 60, minutes % 60)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::video::{Shot, ShotCaption};

    fn shots() -> Vec<CaptionedShot> {
        let shot = |start, end, caption: &str| CaptionedShot {
            shot: Shot { start, end },
            captions: vec![ShotCaption { caption: caption.to_owned(), log_probability: -1.0 }],
        };
        vec![shot(0.0, 61.5, "a dog runs"), shot(61.5, 3725.0625, "salt & pepper")]
    }

    #[test]
    fn srt_cues_are_numbered_and_timed() {
        assert_eq!(
            srt(&shots()),
            "1\n00:00:00,000 --> 00:01:01,500\na dog runs\n\n\
             2\n00:01:01,500 --> 01:02:05,063\nsalt & pepper\n\n"
        );
    }

    #[test]
    fn webvtt_has_its_header_and_escapes() {
        assert_eq!(
            vtt(&shots()),
            "WEBVTT\n\n00:00:00.000 --> 00:01:01.500\na dog runs\n\n\
             00:01:01.500 --> 01:02:05.063\nsalt &amp; pepper\n\n"
        );
    }
}
