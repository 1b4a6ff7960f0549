//! One object of a scene: where it stands, and how its drawing is set into the picture.
//!
//! Invariant: the box of an object is measured on the very paths that are painted, outlines included.

use tiny_skia::Transform;

use super::shapes;
use super::sketch::Layer;
use super::world::Kind;

/// One object, with what tells it from the others of its group.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) group: usize,
    /// Middle of its box, pixels from the left.
    pub(super) x: f32,
    /// Lower edge of its box, pixels from the top.
    pub(super) bottom: f32,
    /// Longer side of the upright shape, in pixels.
    pub(super) length: f32,
    /// Degrees clockwise.
    pub(super) angle: f32,
    /// Whether the shape is mirrored left to right.
    pub(super) flip: bool,
    /// Brightness around 1.
    pub(super) shade: f32,
}

impl Item {
    /// `[x0, y0, x1, y1]` in pixels.
    pub(super) fn bbox(&self, kind: Kind) -> [f32; 4] {
        let [width, height] = self.extent(kind);
        [self.x - width / 2.0, self.bottom - height, self.x + width / 2.0, self.bottom]
    }

    /// Width and height in pixels of its box, wherever it stands.
    pub(super) fn extent(&self, kind: Kind) -> [f32; 2] {
        let layers = shapes::layers(kind);
        let [left, top, right, bottom] = bounds(&layers, self.turn(&layers));
        [right - left, bottom - top]
    }

    /// From the drawing's square of 100 units to the picture: puts the box where the plan says.
    pub(super) fn placement(&self, layers: &[Layer]) -> Transform {
        let turn = self.turn(layers);
        let [left, _, right, bottom] = bounds(layers, turn);
        turn.post_translate(self.x - (left + right) / 2.0, self.bottom - bottom)
    }

    /// Scale, mirroring and rotation.
    fn turn(&self, layers: &[Layer]) -> Transform {
        let [left, top, right, bottom] = bounds(layers, Transform::identity());
        let scale = self.length / (right - left).max(bottom - top);
        let mirrored = if self.flip { -scale } else { scale };
        Transform::from_scale(mirrored, scale).post_concat(Transform::from_rotate(self.angle))
    }
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
