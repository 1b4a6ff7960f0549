//! The clock of a video file: what ffmpeg's log says of its times.

/// When a file and its picture begin, and whether one can go to any time in it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Clock {
    /// What the file calls its start, in seconds; its clock counts from there.
    pub(super) origin: f64,
    /// When the first frame is shown on that clock: the sound may begin before.
    pub(super) picture: f64,
    /// Streams of programs for broadcast have no index: a player lands behind the time that it looks for.
    pub(super) without_index: bool,
}

impl Clock {
    /// From a log in which the filter `showinfo` tells the first frame's time as the file has it. Beginnings earlier than
    /// `step` seconds are none.
    pub(super) fn of_log(log: &str, step: f64) -> Clock {
        let number = |name: &str| -> Option<f64> {
            let rest = log.split_once(name)?.1.trim_start();
            rest.split([' ', ',', '\n']).next()?.parse().ok()
        };
        let origin = number(", start:").unwrap_or(0.0);
        let picture = number("pts_time:").map_or(0.0, |time| time - origin);
        let without_index = ["mpegts", "mpeg"].iter().any(|name| log.contains(&format!("Input #0, {name},")));
        Clock { origin, picture: if picture < step { 0.0 } else { picture }, without_index }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_tells_when_the_picture_begins() {
        let log = "Input #0, mpegts, from 'file:clip':\n\
                   Duration: 00:00:05.98, start: 1.400000, bitrate: 461 kb/s\n\
                   [Parsed_showinfo_0 @ 0x5] n:   0 pts: 263880 pts_time:2.9     duration:3600\n\
                   [Parsed_showinfo_0 @ 0x5] n:   1 pts: 267480 pts_time:2.94\n";
        let clock = Clock::of_log(log, 0.125);
        assert!(
            (clock.picture - 1.5).abs() < 1e-9 && clock.origin == 1.4 && clock.without_index,
            "{clock:?}"
        );
        let log = "Input #0, matroska,webm, from 'file:a':\nDuration: N/A, start: 0.000000, bitrate: N/A\npts_time:0.08\n";
        assert_eq!(Clock::of_log(log, 0.125), Clock::default());
        assert_eq!(Clock::of_log("clip.mp4: Invalid data found", 0.125), Clock::default());
    }
}
