//! The clock of a video file: what ffmpeg's log says of its times.

/// When a file and its picture begin, and whether one can go to any time in it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Clock {
    /// What the file calls its start, in seconds; its clock counts from there. A bare stream of pictures has no clock.
    pub(super) origin: Option<f64>,
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
        let origin = number(", start:");
        let picture = number("pts_time:").map_or(0.0, |time| time - origin.unwrap_or(0.0));
        let without_index = origin.is_none()
            || ["mpegts", "mpeg"].iter().any(|name| log.contains(&format!("Input #0, {name},")));
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
            (clock.picture - 1.5).abs() < 1e-9 && clock.origin == Some(1.4) && clock.without_index,
            "{clock:?}"
        );
        let log = "Input #0, matroska,webm, from 'file:a':\nDuration: N/A, start: 0.000000, bitrate: N/A\npts_time:0.08\n";
        let plain = Clock { origin: Some(0.0), picture: 0.0, without_index: false };
        assert_eq!(Clock::of_log(log, 0.125), plain);
        let bare = Clock { origin: None, picture: 0.0, without_index: true };
        assert_eq!(Clock::of_log("Duration: N/A, bitrate: N/A\npts_time:0\n", 0.125), bare);
    }
}
