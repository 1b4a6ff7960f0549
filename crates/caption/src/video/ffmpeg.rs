//! Frames of a video, through the system's ffmpeg and a pipe.

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, ErrorKind, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread::JoinHandle;

use image::RgbImage;

use super::VideoError;
use super::clock::Clock;

/// Longest complaint that is kept, in bytes.
const COMPLAINT: usize = 8000;
const SQUARE_PIXELS: &str = "scale=trunc(iw*sar/2)*2:ih,setsar=1";
/// A broadcast begins anew with a whole frame at least this often, in seconds: viewers switch to it at any time.
const LEAD_IN: f64 = 10.0;

/// A video in small.
pub(super) struct Thumbnails {
    /// At least one.
    pub(super) frames: Vec<RgbImage>,
    /// The first is shown when the picture begins.
    pub(super) clock: Clock,
    /// What ffmpeg complained of on the way.
    pub(super) complaint: Option<String>,
}

/// All frames at `rate` per second, squeezed to `width` × `height`.
pub(super) fn thumbnails(
    path: &Path,
    rate: u32,
    (width, height): (u32, u32),
) -> Result<Thumbnails, VideoError> {
    // Beside the others, because the frames' own times do not come through the pipe.
    let log = Ffmpeg::start(
        path,
        &["-copyts"],
        &["-vf", "showinfo", "-frames:v", "1", "-f", "null", "-v", "info"],
    )?;
    let scaled = format!("scale={width}:{height}:flags=area");
    let read = |filter: &str, more: &[&str]| -> Result<(Vec<RgbImage>, Option<String>), VideoError> {
        let output = ["-vf", filter, "-f", "rawvideo", "-pix_fmt", "rgb24"];
        let mut ffmpeg = Ffmpeg::start(path, &[], &[&output, more].concat())?;
        let mut frames = Vec::new();
        let mut bytes = vec![0; (width * height * 3) as usize];
        while read_whole(&mut ffmpeg.output, &mut bytes)? {
            frames.extend(RgbImage::from_raw(width, height, bytes.clone()));
        }
        Ok((frames, ffmpeg.finish()?))
    };
    // From zero, or the frames would be repeated back to the file's start.
    let (mut frames, mut complaint) = read(&format!("fps={rate},setpts=PTS-STARTPTS,{scaled}"), &[])?;
    if frames.is_empty() {
        // Shorter than the time between two of them.
        (frames, complaint) = read(&scaled, &["-frames:v", "1"])?;
    }
    if frames.is_empty() {
        return Err(VideoError::Unreadable(complaint.unwrap_or_else(|| "it has no frame".to_owned())));
    }
    Ok(Thumbnails { frames, clock: Clock::of_log(&log.log()?, 1.0 / f64::from(rate)), complaint })
}

/// At most `count` frames as they are shown (turned, with square pixels), spread evenly over some seconds; at least one.
pub(super) fn frames(
    path: &Path,
    clock: &Clock,
    (start, seconds): (f64, f64),
    count: usize,
) -> Result<Vec<RgbImage>, VideoError> {
    // In the middle of equal pieces, so that no frame lies on a cut.
    let middle = seconds / count as f64 / 2.0;
    let rate = format!("fps={count}/{seconds:.3},{SQUARE_PIXELS}");
    let found = frames_from(path, clock, start + middle, Some(seconds - middle), &rate, count)?;
    if !found.is_empty() {
        return Ok(found);
    }
    // The last frame may lie before the middle of a piece.
    let found = frames_from(path, clock, start, None, SQUARE_PIXELS, 1)?;
    if found.is_empty() {
        return Err(VideoError::Unreadable(format!("it has no frame after {start:.3} s")));
    }
    Ok(found)
}

/// The first frames behind a time that a filter lets through.
fn frames_from(
    path: &Path,
    clock: &Clock,
    from: f64,
    seconds: Option<f64>,
    filter: &str,
    count: usize,
) -> Result<Vec<RgbImage>, VideoError> {
    let mut input = Vec::new();
    let filter = if clock.without_index {
        // From a point before which there is a whole frame to begin with; what lies between is decoded and dropped.
        input.push("-copyts".to_owned());
        if clock.origin.is_some() {
            input.extend(["-ss".to_owned(), format!("{:.3}", (from - LEAD_IN).max(0.0))]);
        }
        let start = clock.origin.unwrap_or(0.0) + from;
        format!("trim=start={start:.3},setpts=PTS-STARTPTS,{filter}")
    } else {
        input.extend(["-ss".to_owned(), format!("{from:.3}")]);
        filter.to_owned()
    };
    let seconds = seconds.map(|seconds| ["-t".to_owned(), format!("{seconds:.3}")]);
    let (mut before, mut after) = (Vec::new(), Vec::new());
    let place = if clock.without_index { &mut after } else { &mut before };
    place.extend(seconds.iter().flatten().map(String::as_str));
    let input: Vec<&str> = input.iter().map(String::as_str).chain(before).collect();
    let count = count.to_string();
    let output =
        ["-vf", &filter, "-frames:v", &count, "-f", "image2pipe", "-c:v", "ppm", "-pix_fmt", "rgb24"];
    ppm_frames(path, &input, &[&after[..], &output].concat())
}

fn ppm_frames(path: &Path, input: &[&str], output: &[&str]) -> Result<Vec<RgbImage>, VideoError> {
    let mut ffmpeg = Ffmpeg::start(path, input, output)?;
    let mut frames = Vec::new();
    while let Some(frame) = read_ppm(&mut ffmpeg.output)? {
        frames.push(frame);
    }
    ffmpeg.finish()?;
    Ok(frames)
}

/// A running ffmpeg.
struct Ffmpeg {
    child: Child,
    output: BufReader<ChildStdout>,
    /// Read on the side, or else a full pipe would stop both programs.
    complaint: JoinHandle<String>,
}

impl Ffmpeg {
    fn start(path: &Path, input: &[&str], output: &[&str]) -> Result<Ffmpeg, VideoError> {
        // Never a protocol, whatever the name looks like; nor may a playlist lead to the network.
        let mut file = OsString::from("file:");
        file.push(path);
        let child = Command::new("ffmpeg")
            .args(["-v", "error", "-nostdin", "-protocol_whitelist", "file"])
            .args(input)
            .arg("-i")
            .arg(file)
            .args(["-an", "-sn", "-dn"])
            .args(output)
            .arg("pipe:1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = child.map_err(|error| match error.kind() {
            ErrorKind::NotFound => VideoError::NoFfmpeg,
            _ => VideoError::Io(error),
        })?;
        let (Some(output), Some(mut errors)) = (child.stdout.take(), child.stderr.take()) else {
            return Err(io::Error::other("ffmpeg has no output").into());
        };
        let complaint = std::thread::spawn(move || {
            let mut kept = Vec::new();
            let _ = (&mut errors).take(COMPLAINT as u64).read_to_end(&mut kept);
            let _ = io::copy(&mut errors, &mut io::sink());
            String::from_utf8_lossy(&kept).trim().to_owned()
        });
        Ok(Ffmpeg { child, output: BufReader::new(output), complaint })
    }

    /// Waits for the end, and gives all that was said.
    fn log(mut self) -> Result<String, VideoError> {
        drop(self.output);
        self.child.wait()?;
        Ok(self.complaint.join().unwrap_or_default())
    }

    /// Waits for the end; what it complained of is an error only when it gave up.
    fn finish(mut self) -> Result<Option<String>, VideoError> {
        drop(self.output);
        let status = self.child.wait()?;
        let complaint = self.complaint.join().unwrap_or_default();
        // The first line says what, those below repeat it for every frame.
        let first = in_words(complaint.lines().next().unwrap_or_default());
        match status.success() {
            true => Ok(Some(first).filter(|line| !line.is_empty())),
            false if first.is_empty() => Err(VideoError::Unreadable(status.to_string())),
            false => Err(VideoError::Unreadable(first)),
        }
    }
}

/// A complaint without the place in the program where it arose; the commonest reasons in words.
fn in_words(line: &str) -> String {
    let line = match line.split_once("] ") {
        Some((place, rest)) if place.starts_with('[') && place.contains(" @ 0x") => rest,
        _ => line,
    };
    let known = [
        ("moov atom not found", "its index is missing, so the recording was never finished"),
        ("does not contain any stream", "it has no picture, perhaps sound alone"),
        ("matches no streams", "it has no picture, perhaps sound alone"),
    ];
    match known.iter().find(|(said, _)| line.contains(said)) {
        Some((_, words)) => format!("{words} ({line})"),
        None => line.to_owned(),
    }
}

/// Fills the buffer; false at the end of the stream, where half a frame counts as none.
fn read_whole(input: &mut impl Read, bytes: &mut [u8]) -> io::Result<bool> {
    match input.read_exact(bytes) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// One image of a stream of binary PPM, which says its size: ffmpeg turns and scales, so nobody else knows it.
fn read_ppm(input: &mut impl BufRead) -> io::Result<Option<RgbImage>> {
    let mut header = Vec::new();
    for _ in 0..3 {
        let mut line = Vec::new();
        if input.take(64).read_until(b'\n', &mut line)? == 0 && header.is_empty() {
            return Ok(None);
        }
        header.extend(line);
    }
    let text = String::from_utf8_lossy(&header);
    let fields: Vec<&str> = text.split_whitespace().collect();
    let size = match fields[..] {
        ["P6", width, height, "255"] => width.parse::<u32>().ok().zip(height.parse::<u32>().ok()),
        _ => None,
    };
    let fits =
        |&(width, height): &(u32, u32)| 3 * u64::from(width) * u64::from(height) <= imaging::MAX_MEMORY;
    let Some((width, height)) = size.filter(fits) else {
        return Err(io::Error::other(format!("unexpected frame header {text:?}")));
    };
    let mut bytes = vec![0; width as usize * height as usize * 3];
    if !read_whole(input, &mut bytes)? {
        return Ok(None);
    }
    Ok(RgbImage::from_raw(width, height, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complaints_are_told_without_addresses_in_memory() {
        for (line, wanted) in [
            ("[h264 @ 0x5615] left block unavailable", "left block unavailable"),
            ("clip.mp4: Invalid data found", "clip.mp4: Invalid data found"),
            (
                "[mov,mp4 @ 0x55d6] moov atom not found",
                "its index is missing, so the recording was never finished (moov atom not found)",
            ),
        ] {
            assert_eq!(in_words(line), wanted);
        }
    }

    #[test]
    fn frames_of_a_ppm_stream_are_read_one_by_one() {
        let stream = [&b"P6\n2 1\n255\n"[..], &[1, 2, 3, 4, 5, 6], b"P6\n1 1\n255\n", &[10, 10, 10]].concat();
        let mut input = &stream[..];
        let first = read_ppm(&mut input).unwrap().unwrap();
        assert_eq!((first.dimensions(), first.as_raw().as_slice()), ((2, 1), &[1, 2, 3, 4, 5, 6][..]));
        assert_eq!(read_ppm(&mut input).unwrap().unwrap().as_raw(), &[10, 10, 10]);
        assert!(read_ppm(&mut input).unwrap().is_none());
        assert!(read_ppm(&mut &b"P6\n2 2\n255\nshort"[..]).unwrap().is_none());
        for wrong in ["P5\n2 2\n255\n", "P6\n99999 99999\n255\n", "GIF89a", "P6\n2\n"] {
            assert!(read_ppm(&mut wrong.as_bytes()).is_err(), "{wrong}");
        }
    }
}
