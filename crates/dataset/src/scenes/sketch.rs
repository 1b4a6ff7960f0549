//! Flat drawings as stacks of filled paths, and how they are set into the picture.
//!
//! A drawing lives in a square of 100 units, y downwards, in inks relative to its object's colour.
//!
//! Invariant: the box of an object is measured on the very paths that are painted, outlines included.

use tiny_skia::{LineCap, LineJoin, Path, PathBuilder, Rect, Stroke, Transform};

use super::scene::Item;
use super::shapes;
use super::world::Kind;

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

/// Width and height in pixels of the box of `item`, wherever it stands.
pub(super) fn extent(kind: Kind, item: &Item) -> [f32; 2] {
    let layers = shapes::layers(kind);
    let [left, top, right, bottom] = bounds(&layers, turn(&layers, item));
    [right - left, bottom - top]
}

/// From the square of 100 units to the picture: puts the box of `item` where its plan says.
pub(super) fn placement(layers: &[Layer], item: &Item) -> Transform {
    let turn = turn(layers, item);
    let [left, _, right, bottom] = bounds(layers, turn);
    turn.post_translate(item.x - (left + right) / 2.0, item.bottom - bottom)
}

/// Scale, mirroring and rotation of `item`.
fn turn(layers: &[Layer], item: &Item) -> Transform {
    let [left, top, right, bottom] = bounds(layers, Transform::identity());
    let scale = item.length / (right - left).max(bottom - top);
    let mirrored = if item.flip { -scale } else { scale };
    Transform::from_scale(mirrored, scale).post_concat(Transform::from_rotate(item.angle))
}

/// `[left, top, right, bottom]` of all layers after `transform`.
fn bounds(layers: &[Layer], transform: Transform) -> [f32; 4] {
    let boxes =
        layers.iter().filter_map(|layer| layer.path.clone().transform(transform)?.compute_tight_bounds());
    let empty = [f32::INFINITY, f32::INFINITY, f32::NEG_INFINITY, f32::NEG_INFINITY];
    boxes.fold(empty, |[left, top, right, bottom], next| {
        [left.min(next.left()), top.min(next.top()), right.max(next.right()), bottom.max(next.bottom())]
    })
}
