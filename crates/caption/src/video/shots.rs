//! Where one shot ends and the next begins.
//!
//! A cut is a change that stays, and that stands out from the changes around it: a shaking camera changes every frame as
//! much as a calm film does at a cut. The second half of this is the idea of PySceneDetect's adaptive detector.

use std::path::Path;

use image::RgbImage;
use serde::Serialize;

use super::VideoError;
use super::clock::Clock;
use super::ffmpeg::{self, Thumbnails};

/// Frames per second that are compared, and their size.
const RATE: u32 = 8;
const SIZE: (u32, u32) = (64, 36);
/// Least mean difference of two frames, in levels of 0 to 255, that can be a cut.
const LEAST: f64 = 15.0;
/// A cut changes this many times as much as the frames around it do.
const RATIO: f64 = 3.0;
/// How many frames on each side that is measured on.
const AROUND: usize = 3;
/// Shortest shot, in frames.
const SHORTEST: usize = 4;

/// A piece of a video without a cut.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Shot {
    /// Its first moment, in seconds from the start of the file, whose sound may begin before its picture.
    pub start: f64,
    /// Its last moment.
    pub end: f64,
}

impl Shot {
    /// Its length.
    pub fn seconds(&self) -> f64 {
        self.end - self.start
    }
}

/// A video's shots.
pub(super) struct Shots {
    /// In order, without gaps, at least one.
    pub(super) shots: Vec<Shot>,
    pub(super) clock: Clock,
    /// What ffmpeg complained of on the way.
    pub(super) complaint: Option<String>,
}

/// Looks through a whole video.
pub(super) fn find(path: &Path) -> Result<Shots, VideoError> {
    let Thumbnails { frames, clock, complaint } = ffmpeg::thumbnails(path, RATE, SIZE)?;
    let seconds = |frame: usize| clock.picture + frame as f64 / f64::from(RATE);
    let mut edges = vec![0];
    edges.extend(cuts(&frames));
    edges.push(frames.len());
    let shots = edges.windows(2).map(|edge| Shot { start: seconds(edge[0]), end: seconds(edge[1]) });
    Ok(Shots { shots: shots.collect(), clock, complaint })
}

/// The numbers of the frames that begin a new shot.
fn cuts(frames: &[RgbImage]) -> Vec<usize> {
    // changes[i] is what happens between frame i and frame i + 1.
    let changes: Vec<f64> = (1..frames.len())
        .map(|frame| {
            let change = difference(&frames[frame - 1], &frames[frame]);
            // A flash of one frame is over with the next, and what follows it was there before.
            let stays = frames.get(frame + 1).map_or(change, |next| difference(&frames[frame - 1], next));
            let is_new =
                frame.checked_sub(2).map_or(change, |before| difference(&frames[before], &frames[frame]));
            change.min(stays).min(is_new)
        })
        .collect();
    let mut cuts: Vec<usize> = Vec::new();
    for (index, &change) in changes.iter().enumerate() {
        let frame = index + 1;
        let long_enough =
            frame - cuts.last().copied().unwrap_or(0) >= SHORTEST && frames.len() - frame >= SHORTEST;
        let before = &changes[index.saturating_sub(AROUND)..index];
        let after = &changes[frame..changes.len().min(frame + AROUND)];
        let around = before.iter().chain(after);
        let mean = around.sum::<f64>() / (before.len() + after.len()).max(1) as f64;
        if long_enough && change >= LEAST && change >= RATIO * mean {
            cuts.push(frame);
        }
    }
    cuts
}

/// Mean absolute difference of the values of two frames of one size.
fn difference(a: &RgbImage, b: &RgbImage) -> f64 {
    let sum: u64 = a.iter().zip(b.iter()).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    sum as f64 / a.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;

    fn flat(value: u8) -> RgbImage {
        RgbImage::from_pixel(8, 6, Rgb([value; 3]))
    }

    /// Vertical bars that move by `step` pixels per frame: much change, no cut.
    fn panning(count: u32, step: u32) -> Vec<RgbImage> {
        let bars = |shift: u32| {
            move |x: u32, _| Rgb([if ((x + shift) / 4).is_multiple_of(2) { 20 } else { 220 }; 3])
        };
        (0..count).map(|frame| RgbImage::from_fn(16, 6, bars(frame * step))).collect()
    }

    #[test]
    fn a_change_that_stays_is_a_cut() {
        let frames: Vec<_> =
            (0..30u8).map(|frame| flat(if frame < 12 { 40 } else { 90 } + frame % 2)).collect();
        assert_eq!(cuts(&frames), [12]);
    }

    #[test]
    fn a_flash_a_fade_and_a_moving_camera_are_none() {
        let flash: Vec<_> = (0..30).map(|frame| flat(if frame == 12 { 250 } else { 40 })).collect();
        assert_eq!(cuts(&flash), [0; 0]);
        let fade: Vec<_> = (0..30u8).map(|frame| flat(frame * 8)).collect();
        assert_eq!(cuts(&fade), [0; 0]);
        assert_eq!(cuts(&panning(30, 3)), [0; 0]);
    }

    #[test]
    fn a_cut_out_of_a_moving_camera_into_calm_is_found() {
        let mut frames = panning(15, 1);
        frames.extend((0..15).map(|_| RgbImage::from_pixel(16, 6, Rgb([250, 0, 0]))));
        assert_eq!(cuts(&frames), [15]);
    }

    #[test]
    fn neither_one_frame_nor_two_shots_of_two_frames_are_cut() {
        assert_eq!(cuts(&[flat(1)]), [0; 0]);
        assert_eq!(cuts(&[flat(1), flat(1), flat(200), flat(200)]), [0; 0]);
    }
}
