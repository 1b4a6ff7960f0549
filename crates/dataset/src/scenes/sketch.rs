//! Flat drawings as stacks of filled paths.
//!
//! A drawing lives in a square of 100 units, y downwards, in inks relative to its object's colour.

use tiny_skia::{Color, LineCap, LineJoin, Paint, Path, PathBuilder, Rect, Shader, Stroke};

/// Width of an outline in units.
const OUTLINE: f32 = 3.0;

/// The colour of a part.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Ink {
    /// The object's colour, shaded from light to dark.
    Main,
    /// A lighter tone of it.
    Light,
    /// A darker tone of it.
    Dark,
    /// A very dark tone of it, for outlines.
    Line,
    /// White, or gray on a white object.
    Trim,
    /// Translucent white.
    Shine,
    /// The same on all objects, sRGB.
    Fixed(u8, u8, u8),
}

/// One painted path.
pub(super) struct Layer {
    pub(super) path: Path,
    pub(super) ink: Ink,
}

/// A drawing under way; each part covers the earlier ones.
#[derive(Default)]
pub(super) struct Sketch {
    layers: Vec<Layer>,
}

impl Sketch {
    /// The layers, lowest first.
    pub(super) fn layers(self) -> Vec<Layer> {
        self.layers
    }

    /// An area with an outline.
    pub(super) fn area(&mut self, ink: Ink, path: Option<Path>) {
        self.line(Ink::Line, 2.0 * OUTLINE, path.clone());
        self.flat(ink, path);
    }

    /// An area without an outline.
    pub(super) fn flat(&mut self, ink: Ink, path: Option<Path>) {
        self.layers.extend(path.map(|path| Layer { path, ink }));
    }

    /// A line of `width` units with round ends.
    pub(super) fn line(&mut self, ink: Ink, width: f32, path: Option<Path>) {
        let stroke =
            Stroke { width, line_cap: LineCap::Round, line_join: LineJoin::Round, ..Stroke::default() };
        self.flat(ink, path.and_then(|path| path.stroke(&stroke, 4.0)));
    }

    /// Several areas with one outline around all of them.
    pub(super) fn union(&mut self, ink: Ink, paths: &[Option<Path>]) {
        for path in paths {
            self.line(Ink::Line, 2.0 * OUTLINE, path.clone());
        }
        for path in paths {
            self.flat(ink, path.clone());
        }
    }
}

/// A circle by middle and radius.
pub(super) fn circle(x: f32, y: f32, radius: f32) -> Option<Path> {
    PathBuilder::from_circle(x, y, radius)
}

/// An upright ellipse by middle and radii.
pub(super) fn ellipse(x: f32, y: f32, rx: f32, ry: f32) -> Option<Path> {
    PathBuilder::from_oval(Rect::from_ltrb(x - rx, y - ry, x + rx, y + ry)?)
}

/// A rectangle by its edges.
pub(super) fn rect(left: f32, top: f32, right: f32, bottom: f32) -> Option<Path> {
    Some(PathBuilder::from_rect(Rect::from_ltrb(left, top, right, bottom)?))
}

/// A polygon, closed from its last point to its first.
pub(super) fn polygon(points: &[[f32; 2]]) -> Option<Path> {
    path(|pen| {
        trace(pen, points);
        pen.close();
    })
}

/// A line along points.
pub(super) fn polyline(points: &[[f32; 2]]) -> Option<Path> {
    path(|pen| trace(pen, points))
}

/// The path that `draw` traces; `None` if it is empty or not finite.
pub(super) fn path(draw: impl FnOnce(&mut PathBuilder)) -> Option<Path> {
    let mut pen = PathBuilder::new();
    draw(&mut pen);
    pen.finish()
}

fn trace(pen: &mut PathBuilder, points: &[[f32; 2]]) {
    for (index, &[x, y]) in points.iter().enumerate() {
        if index == 0 { pen.move_to(x, y) } else { pen.line_to(x, y) }
    }
}

/// A paint of one colour.
pub(super) fn solid(color: Color) -> Paint<'static> {
    Paint { shader: Shader::SolidColor(color), ..Paint::default() }
}
