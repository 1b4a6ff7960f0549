//! One bad photo is an error, whatever its decoder does.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::error::ImageError;

/// Decodes, or the reason why the decoder gave up: libjpeg leaves by unwinding, and the others rely on things that damaged files
/// may lack. No state of ours outlives that.
pub(crate) fn caught<T>(work: impl FnOnce() -> Result<T, ImageError>) -> Result<T, ImageError> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|message| Err(ImageError::Damaged(reason(message.as_ref()))))
}

fn reason(message: &(dyn Any + Send)) -> String {
    let text =
        message.downcast_ref::<String>().map(String::as_str).or(message.downcast_ref::<&str>().copied());
    text.unwrap_or("the decoder gave up").trim_start_matches("libjpeg fatal error: ").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_decoder_panics_about_is_the_reason() {
        assert_eq!(caught(|| Ok(3)).unwrap(), 3);
        let raised = |message: Box<dyn Any + Send>| {
            caught::<()>(|| std::panic::resume_unwind(message)).unwrap_err().to_string()
        };
        assert_eq!(raised(Box::new("index 3".to_owned())), "damaged: index 3");
        assert_eq!(raised(Box::new("no palette")), "damaged: no palette");
        assert_eq!(raised(Box::new(3)), "damaged: the decoder gave up");
    }
}
