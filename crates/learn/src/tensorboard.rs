//! TensorBoard event files: protocol buffers in TFRecord framing.
//!
//! Messages after TensorFlow's `event.proto` and `summary.proto` (only the fields that scalars need); framing after
//! its `record_writer.cc`: length, masked CRC-32C of the length, data, masked CRC-32C of the data.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use prost::Message;

#[derive(Clone, PartialEq, Message)]
struct Event {
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, tag = "2")]
    step: i64,
    #[prost(string, optional, tag = "3")]
    file_version: Option<String>,
    #[prost(message, optional, tag = "5")]
    summary: Option<Summary>,
}

#[derive(Clone, PartialEq, Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    value: Vec<Value>,
}

#[derive(Clone, PartialEq, Message)]
struct Value {
    #[prost(string, tag = "1")]
    tag: String,
    #[prost(float, tag = "2")]
    simple_value: f32,
}

/// An open event file.
pub(crate) struct EventFile(File);

impl EventFile {
    /// Creates an event file for the steps from `first_step` on; TensorBoard joins the files of a folder.
    pub(crate) fn create(folder: &Path, first_step: usize) -> std::io::Result<EventFile> {
        let file = File::create(folder.join(format!("events.out.tfevents.{first_step:010}")))?;
        let mut events = EventFile(file);
        events.write(0, Some("brain.Event:2".to_owned()), None)?;
        Ok(events)
    }

    /// Appends scalars of one step.
    pub(crate) fn scalars(&mut self, step: usize, values: &[(String, f64)]) -> std::io::Result<()> {
        let value = values.iter().map(|(tag, value)| Value { tag: tag.clone(), simple_value: *value as f32 });
        self.write(step as i64, None, Some(Summary { value: value.collect() }))
    }

    fn write(
        &mut self,
        step: i64,
        file_version: Option<String>,
        summary: Option<Summary>,
    ) -> std::io::Result<()> {
        let wall_time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let data = Event { wall_time, step, file_version, summary }.encode_to_vec();
        self.0.write_all(&record(&data))
    }
}

fn record(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    [&length[..], &masked_crc(&length), data, &masked_crc(data)].concat()
}

fn masked_crc(bytes: &[u8]) -> [u8; 4] {
    let crc = crc32c::crc32c(bytes);
    crc.rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_record_is_the_one_that_tensorboard_writes() {
        // An event of wall time 0 with file version "brain.Event:2", as written by TensorBoard 2.21's RecordWriter.
        let event =
            Event { wall_time: 0.0, step: 0, file_version: Some("brain.Event:2".to_owned()), summary: None };
        let record = record(&event.encode_to_vec());
        let reference = b"\x0f\0\0\0\0\0\0\0mS+\t\x1a\rbrain.Event:2\xfc\x98Q)";
        assert_eq!(record, reference);
    }
}
