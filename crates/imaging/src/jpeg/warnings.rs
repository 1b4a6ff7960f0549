//! libjpeg's warnings. It goes on after all of them and fills with gray what is missing; those that tell of lost pixels end the
//! decoding here, those about a file's form are passed over, because cameras write such files.

use std::ffi::c_int;
use std::mem;

use mozjpeg_sys::{
    JWRN_EXTRANEOUS_DATA, JWRN_HIT_MARKER, JWRN_HUFF_BAD_CODE, JWRN_JPEG_EOF, JWRN_MUST_RESYNC,
    JWRN_TOO_MUCH_DATA, jpeg_common_struct, jpeg_decompress_struct, jpeg_error_mgr, jpeg_std_error,
};

/// The bindings leave it out: it has its number only where arithmetic coding is compiled.
const JWRN_ARITH_BAD_CODE: c_int = JWRN_TOO_MUCH_DATA + 3;
/// Bytes behind the last pixel that some encoders leave there, in a picture of any size.
const STRAY: u64 = 64;
/// One more for so many pixels: a scan has at least four times as many.
const PIXELS_A_STRAY_BYTE: u64 = 64;

/// libjpeg's own handler, with other ways out: errors and damage unwind with a message.
pub(super) fn damage_is_fatal() -> jpeg_error_mgr {
    // SAFETY: the structure holds numbers, pointers that may be null and optional functions, all of which libjpeg then sets.
    unsafe {
        let mut handler = mem::zeroed();
        jpeg_std_error(&mut handler);
        handler.error_exit = Some(give_up);
        handler.emit_message = Some(hear);
        handler
    }
}

extern "C-unwind" fn give_up(decoder: &mut jpeg_common_struct) {
    unwind(text(decoder));
}

/// Warnings have the level -1, traces others.
extern "C-unwind" fn hear(decoder: &mut jpeg_common_struct, level: c_int) {
    if level < 0
        && let Some(damage) = damage(decoder)
    {
        unwind(damage.to_owned());
    }
}

fn damage(decoder: &mut jpeg_common_struct) -> Option<&'static str> {
    // SAFETY: libjpeg calls its handler with the handler in place.
    let handler = unsafe { decoder.err.as_ref() }?;
    match handler.msg_code {
        JWRN_HIT_MARKER | JWRN_JPEG_EOF => Some("a part of the picture's data is missing"),
        JWRN_HUFF_BAD_CODE | JWRN_ARITH_BAD_CODE => Some("a part of the picture's data is no JPEG data"),
        JWRN_MUST_RESYNC => Some("a piece of the picture's data is missing"),
        // Zeros in place of data are codes of few bits: the picture is full long before its data ends.
        JWRN_EXTRANEOUS_DATA if u64::from(handler.msg_parm._bindgen_data_[0]) > most_stray_bytes(decoder) => {
            Some("the picture's data goes on behind its last pixel")
        }
        _ => None,
    }
}

/// How many bytes between two markers are a matter of form; before the first scan any number.
fn most_stray_bytes(decoder: &mut jpeg_common_struct) -> u64 {
    // SAFETY: every message of this handler is one of a decoder, whose fields begin with the common ones.
    let decoder = unsafe { &*std::ptr::from_mut(decoder).cast::<jpeg_decompress_struct>() };
    match decoder.input_scan_number {
        0 => u64::MAX,
        _ => STRAY + u64::from(decoder.image_width) * u64::from(decoder.image_height) / PIXELS_A_STRAY_BYTE,
    }
}

/// What libjpeg says of its error.
fn text(decoder: &mut jpeg_common_struct) -> String {
    let mut buffer = [0; 80];
    type Declared = unsafe extern "C-unwind" fn(&mut jpeg_common_struct, &[u8; 80]);
    type Writes = unsafe extern "C-unwind" fn(&mut jpeg_common_struct, &mut [u8; 80]);
    // SAFETY: as above; the function writes into the buffer, whose size is part of libjpeg's interface, and is declared as if it did not.
    unsafe {
        if let Some(format) = decoder.err.as_ref().and_then(|handler| handler.format_message) {
            mem::transmute::<Declared, Writes>(format)(decoder, &mut buffer);
        }
    }
    let text = buffer.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(text).into_owned()
}

fn unwind(message: String) {
    // Past the hook for panics, which would print it.
    std::panic::resume_unwind(Box::new(message));
}
