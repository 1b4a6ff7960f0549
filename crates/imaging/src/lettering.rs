//! Words on a picture.

use embedded_graphics::mono_font::iso_8859_1::{FONT_7X13, FONT_9X15_BOLD};
use embedded_graphics::mono_font::{MonoFont, MonoTextStyle};
use embedded_graphics::pixelcolor::Rgb888;
use embedded_graphics::prelude::*;
use embedded_graphics::text::{Alignment, Text};
use image::{Rgb, RgbImage};

/// The letters there are; all of a kind have one width.
#[derive(Clone, Copy, Debug)]
pub enum Letters {
    /// 7 pixels wide.
    Small,
    /// 9 pixels wide, bold.
    Bold,
}

impl Letters {
    fn font(self) -> &'static MonoFont<'static> {
        match self {
            Letters::Small => &FONT_7X13,
            Letters::Bold => &FONT_9X15_BOLD,
        }
    }
}

/// Writes `text` in black, its middle at `x`, its letters standing on `baseline`; what lies outside is not drawn.
pub fn write_centred(image: &mut RgbImage, text: &str, x: u32, baseline: u32, letters: Letters) {
    let style = MonoTextStyle::new(letters.font(), Rgb888::BLACK);
    let text = Text::with_alignment(text, Point::new(x as i32, baseline as i32), style, Alignment::Center);
    // Drawing in memory cannot fail.
    let Ok(_) = text.draw(&mut Canvas(image));
}

/// An image as something that text can be drawn on.
struct Canvas<'a>(&'a mut RgbImage);

impl OriginDimensions for Canvas<'_> {
    fn size(&self) -> Size {
        Size::new(self.0.width(), self.0.height())
    }
}

impl DrawTarget for Canvas<'_> {
    type Color = Rgb888;
    type Error = std::convert::Infallible;

    fn draw_iter<I: IntoIterator<Item = Pixel<Rgb888>>>(&mut self, pixels: I) -> Result<(), Self::Error> {
        for Pixel(point, color) in pixels {
            let (x, y) = (u32::try_from(point.x), u32::try_from(point.y));
            if let (Ok(x), Ok(y)) = (x, y)
                && let Some(pixel) = self.0.get_pixel_mut_checked(x, y)
            {
                *pixel = Rgb([color.r(), color.g(), color.b()]);
            }
        }
        Ok(())
    }
}
