//! From a plan to pixels.

use image::{Rgb, RgbImage};
use rand_chacha::ChaCha8Rng;
use tiny_skia::{
    Color, FillRule, GradientStop, LinearGradient, Paint, PathBuilder, Pixmap, Point, Rect, Shader,
    SpreadMode, Transform,
};

use super::item::Item;
use super::scene::{Arrangement, Plan};
use super::sketch::{Ink, Layer, solid};
use super::world::{self, Habitat};
use super::{SIDE, background, shapes};

/// Draws a scene; `rng` varies the background.
pub(super) fn draw(plan: &Plan, rng: &mut ChaCha8Rng) -> RgbImage {
    let Some(mut canvas) = Pixmap::new(SIDE, SIDE) else {
        return RgbImage::new(SIDE, SIDE); // only a side of zero has no canvas
    };
    background::draw(&mut canvas, plan.place, plan.horizon, rng);
    for item in &plan.items {
        ground_mark(&mut canvas, plan, item);
    }
    for item in plan.items.iter().rev() {
        let group = &plan.groups[item.group];
        let layers = shapes::layers(group.kind);
        let placement = item.placement(&layers);
        for layer in &layers {
            paint(&mut canvas, layer, group.color, item.shade, placement);
        }
    }
    RgbImage::from_fn(SIDE, SIDE, |x, y| {
        let pixel = canvas.pixels()[(y * SIDE + x) as usize];
        Rgb([pixel.red(), pixel.green(), pixel.blue()])
    })
}

/// The shadow of what stands on the ground, or the ripple around what floats.
fn ground_mark(canvas: &mut Pixmap, plan: &Plan, item: &Item) {
    if plan.arrangement == Arrangement::On && item.group == 0 {
        return;
    }
    let kind = plan.groups[item.group].kind;
    let color = match plan.place.habitat(kind) {
        Habitat::Air => return,
        Habitat::Ground => Color::from_rgba8(0, 0, 0, 52),
        Habitat::Water => Color::from_rgba8(235, 248, 255, 90),
    };
    let [left, _, right, bottom] = item.bbox(kind);
    let half = (right - left) / 2.0;
    let oval = Rect::from_ltrb(
        item.x - half * 1.06,
        bottom - half * 0.2,
        item.x + half * 1.06,
        bottom + half * 0.14,
    );
    if let Some(path) = oval.and_then(PathBuilder::from_oval) {
        canvas.fill_path(&path, &solid(color), FillRule::Winding, Transform::identity(), None);
    }
}

fn paint(canvas: &mut Pixmap, layer: &Layer, color: world::Color, shade: f32, placement: Transform) {
    let base = color.rgb().map(|channel| (f32::from(channel) * shade).min(255.0));
    let tone = |lightness| tone(base, lightness);
    let paint = match layer.ink {
        Ink::Main => {
            let bounds = layer.path.bounds();
            let from = Point::from_xy(bounds.left(), bounds.top());
            let to = Point::from_xy(bounds.right(), bounds.bottom());
            let stops = vec![
                GradientStop::new(0.0, tone(0.16)),
                GradientStop::new(0.45, tone(0.0)),
                GradientStop::new(1.0, tone(-0.16)),
            ];
            let gradient = LinearGradient::new(from, to, stops, SpreadMode::Pad, Transform::identity());
            Paint { shader: gradient.unwrap_or(Shader::SolidColor(tone(0.0))), ..Paint::default() }
        }
        Ink::Light => solid(tone(0.3)),
        Ink::Dark => solid(tone(-0.22)),
        Ink::Line => solid(tone(-0.62)),
        Ink::Trim if color == world::Color::White => solid(Color::from_rgba8(176, 182, 194, 255)),
        Ink::Trim => solid(Color::from_rgba8(250, 248, 242, 255)),
        Ink::Shine => solid(Color::from_rgba8(255, 255, 255, 150)),
        Ink::Fixed(red, green, blue) => solid(Color::from_rgba8(red, green, blue, 255)),
    };
    canvas.fill_path(&layer.path, &paint, FillRule::Winding, placement, None);
}

/// `base` (0 to 255 a channel) moved towards white (`lightness` > 0) or black (< 0) by that share.
fn tone(base: [f32; 3], lightness: f32) -> Color {
    let goal = if lightness > 0.0 { 255.0 } else { 0.0 };
    let [red, green, blue] = base.map(|channel| (channel + (goal - channel) * lightness.abs()).round() as u8);
    Color::from_rgba8(red, green, blue, 255)
}
