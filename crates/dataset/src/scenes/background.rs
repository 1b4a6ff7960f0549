//! The places, painted: every one varies in tone and detail from scene to scene.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use tiny_skia::{
    Color, FillRule, GradientStop, LineCap, LinearGradient, Paint, Path, Pixmap, Point, Shader, SpreadMode,
    Stroke, Transform,
};

use super::SIDE;
use super::scene::pick;
use super::sketch::{circle, ellipse, path, polygon, rect, solid};
use super::world::Place;

const EDGE: f32 = SIDE as f32;

type Rgb = [u8; 3];

/// Paints `place` over the whole canvas; `horizon` is in pixels from the top.
pub(super) fn draw(canvas: &mut Pixmap, place: Place, horizon: f32, rng: &mut ChaCha8Rng) {
    let mut view = View { canvas, horizon, rng };
    match place {
        Place::Beach => view.beach(),
        Place::Field => view.field(),
        Place::Night => view.night(),
        Place::Room => view.room(),
        Place::Sea => view.sea(),
        Place::Sky => view.sky(),
        Place::Snow => view.snow(),
        Place::Street => view.street(),
        Place::Table => view.table(),
    }
}

struct View<'a> {
    canvas: &'a mut Pixmap,
    horizon: f32,
    rng: &'a mut ChaCha8Rng,
}

impl View<'_> {
    fn beach(&mut self) {
        self.day_sky(self.horizon);
        self.maybe_sun();
        self.clouds(0..3, self.horizon - 30.0);
        let shore = self.horizon + 22.0;
        self.band(self.horizon - 4.0, shore + 4.0, [52, 142, 196], [104, 196, 214]);
        self.band(shore, EDGE, [244, 224, 170], [226, 194, 130]);
        let foam = self.wave(shore, 3.0);
        self.stroke(foam, 4.0, [250, 252, 250], 230);
        self.specks(60, shore + 8.0..EDGE, [196, 160, 100]);
    }

    fn field(&mut self) {
        self.day_sky(self.horizon);
        self.maybe_sun();
        self.clouds(0..4, self.horizon - 34.0);
        self.hills([142, 190, 120], 34.0);
        self.band(self.horizon, EDGE, [142, 196, 92], [92, 156, 62]);
        for _ in 0..34 {
            let (x, y) = (self.rng.random_range(0.0..EDGE), self.rng.random_range(self.horizon + 12.0..EDGE));
            let blade = self.rng.random_range(4.0..8.0);
            for lean in [-2.5, 0.0, 2.5] {
                let path = path(|pen| {
                    pen.move_to(x, y);
                    pen.quad_to(x + lean * 0.3, y - blade * 0.6, x + lean, y - blade);
                });
                self.stroke(path, 1.2, [74, 134, 52], 170);
            }
        }
    }

    fn night(&mut self) {
        self.band(0.0, self.horizon + 20.0, [14, 20, 52], [52, 58, 108]);
        for _ in 0..55 {
            let (x, y) = (self.rng.random_range(0.0..EDGE), self.rng.random_range(0.0..self.horizon));
            let radius = self.rng.random_range(0.5..1.3);
            self.fill(circle(x, y, radius), [240, 240, 220], 220);
        }
        let (x, y) = (self.rng.random_range(24.0..EDGE - 24.0), self.rng.random_range(18.0..40.0));
        let crescent = path(|pen| {
            pen.move_to(x + 4.0, y - 13.0);
            pen.cubic_to(x - 18.0, y - 10.0, x - 18.0, y + 12.0, x + 6.0, y + 12.0);
            pen.cubic_to(x - 7.0, y + 7.0, x - 7.0, y - 7.0, x + 4.0, y - 13.0);
            pen.close();
        });
        self.fill(crescent, [246, 240, 208], 255);
        self.hills([42, 54, 88], 30.0);
        let top = self.horizon;
        let hill = path(|pen| {
            pen.move_to(0.0, top + 12.0);
            pen.quad_to(EDGE / 2.0, top - 14.0, EDGE, top + 12.0);
            pen.line_to(EDGE, EDGE);
            pen.line_to(0.0, EDGE);
            pen.close();
        });
        self.fill_gradient(hill, top, EDGE, [56, 84, 82], [30, 50, 54]);
    }

    fn room(&mut self) {
        let foot = self.horizon + 14.0;
        let (wall, stripe) = pick(
            self.rng,
            &[
                ([238, 226, 204], [224, 206, 176]),
                ([214, 226, 232], [192, 208, 220]),
                ([226, 234, 214], [206, 220, 190]),
                ([240, 220, 220], [226, 200, 202]),
                ([228, 222, 238], [210, 202, 226]),
            ],
        );
        self.band(0.0, foot, wall, wall);
        let width = self.rng.random_range(10.0..18.0);
        let mut left = self.rng.random_range(-width..0.0);
        while left < EDGE {
            self.fill(rect(left, 0.0, left + width, foot), stripe, 255);
            left += 2.0 * width;
        }
        self.band(foot, EDGE, [196, 148, 98], [166, 116, 70]);
        let mut y = foot + 10.0;
        let mut step = 12.0;
        while y < EDGE {
            self.fill(rect(0.0, y, EDGE, y + 1.2), [132, 90, 54], 170);
            let x = self.rng.random_range(0.0..EDGE);
            self.fill(rect(x, y - step, x + 1.2, y), [132, 90, 54], 150);
            y += step;
            step *= 1.25;
        }
        self.fill(rect(0.0, foot - 7.0, EDGE, foot), [248, 244, 236], 255);
        self.fill(rect(0.0, foot, EDGE, foot + 2.0), [96, 66, 42], 150);
    }

    fn sea(&mut self) {
        self.day_sky(self.horizon);
        self.maybe_sun();
        self.clouds(1..4, self.horizon - 34.0);
        self.band(self.horizon, EDGE, [74, 160, 206], [18, 84, 148]);
        for _ in 0..26 {
            let y = self.rng.random_range(self.horizon + 6.0..EDGE);
            let x = self.rng.random_range(-10.0..EDGE);
            let length = 8.0 + (y - self.horizon) * 0.14;
            let wave = path(|pen| {
                pen.move_to(x, y);
                pen.quad_to(x + length / 4.0, y - 4.0, x + length / 2.0, y);
                pen.quad_to(x + length * 0.75, y - 4.0, x + length, y);
            });
            self.stroke(wave, 1.5, [196, 228, 244], 150);
        }
    }

    fn sky(&mut self) {
        let top = self.vary([70, 150, 226], 14.0);
        self.band(0.0, EDGE, top, [206, 232, 250]);
        self.clouds(4..8, EDGE - 30.0);
    }

    fn snow(&mut self) {
        let top = self.vary([150, 184, 216], 16.0);
        self.band(0.0, self.horizon + 10.0, top, [226, 234, 242]);
        self.hills([206, 218, 232], 36.0);
        self.band(self.horizon, EDGE, [244, 248, 252], [214, 226, 240]);
        for _ in 0..4 {
            let (x, y) = (self.rng.random_range(0.0..EDGE), self.rng.random_range(self.horizon + 20.0..EDGE));
            self.fill(ellipse(x, y, 46.0, 7.0), [255, 255, 255], 130);
        }
        for _ in 0..40 {
            let (x, y) = (self.rng.random_range(0.0..EDGE), self.rng.random_range(0.0..EDGE));
            let radius = self.rng.random_range(0.8..2.0);
            self.fill(circle(x, y, radius), [255, 255, 255], 220);
        }
    }

    fn street(&mut self) {
        self.day_sky(self.horizon);
        self.clouds(0..3, 60.0);
        self.houses();
        let kerb = self.horizon + 20.0;
        self.band(self.horizon, kerb, [198, 194, 186], [182, 178, 172]);
        self.fill(rect(0.0, kerb - 4.0, EDGE, kerb), [150, 146, 142], 255);
        self.band(kerb, EDGE, [112, 114, 122], [90, 92, 100]);
        let middle = (kerb + EDGE) / 2.0;
        let mut left = self.rng.random_range(-40.0..0.0);
        while left < EDGE {
            let dash = [
                [left + 4.0, middle - 3.0],
                [left + 36.0, middle - 3.0],
                [left + 32.0, middle + 3.0],
                [left, middle + 3.0],
            ];
            self.fill(polygon(&dash), [240, 238, 226], 255);
            left += 62.0;
        }
    }

    fn table(&mut self) {
        let wall = pick(
            self.rng,
            &[[206, 222, 214], [232, 220, 196], [204, 216, 230], [230, 212, 208], [220, 220, 222]],
        );
        let wall = self.vary(wall, 8.0);
        self.band(0.0, self.horizon, wall, wall.map(|channel| channel.saturating_sub(18)));
        self.band(self.horizon, EDGE, [176, 122, 74], [146, 94, 52]);
        self.fill(rect(0.0, self.horizon, EDGE, self.horizon + 3.0), [208, 160, 110], 255);
        for _ in 0..12 {
            let y = self.rng.random_range(self.horizon + 8.0..EDGE);
            let x = self.rng.random_range(-60.0..EDGE - 40.0);
            let length = self.rng.random_range(50.0..150.0);
            let bend = self.rng.random_range(-3.0..3.0);
            let grain = path(|pen| {
                pen.move_to(x, y);
                pen.quad_to(x + length / 2.0, y + bend, x + length, y);
            });
            self.stroke(grain, 1.4, [120, 76, 40], 130);
        }
    }

    /// A clear, a pale or an evening sky down to `bottom`.
    fn day_sky(&mut self, bottom: f32) {
        let (top, low) = pick(
            self.rng,
            &[
                ([104, 176, 236], [206, 232, 250]),
                ([140, 196, 236], [224, 238, 246]),
                ([130, 178, 226], [250, 226, 200]),
            ],
        );
        let top = self.vary(top, 12.0);
        self.band(0.0, bottom + 1.0, top, low);
    }

    fn maybe_sun(&mut self) {
        if self.rng.random_bool(0.35) {
            let x = pick(self.rng, &[22.0, EDGE - 22.0]) + self.rng.random_range(-8.0..8.0);
            let y = self.rng.random_range(16.0..30.0);
            self.fill(circle(x, y, 19.0), [255, 246, 200], 90);
            self.fill(circle(x, y, 12.0), [255, 240, 170], 255);
        }
    }

    fn clouds(&mut self, count: std::ops::Range<u32>, lowest: f32) {
        for _ in 0..self.rng.random_range(count) {
            let (x, y) = (self.rng.random_range(0.0..EDGE), self.rng.random_range(12.0..lowest));
            let size = self.rng.random_range(0.7..1.3);
            for [dx, dy, r] in [[-20.0, 3.0, 10.0], [-7.0, -3.0, 13.0], [9.0, -1.0, 12.0], [22.0, 4.0, 8.0]] {
                self.fill(
                    ellipse(x + dx * size, y + dy * size, r * size * 1.25, r * size),
                    [255, 255, 255],
                    200,
                );
            }
        }
    }

    /// Far hills whose feet are at the horizon.
    fn hills(&mut self, color: Rgb, height: f32) {
        for x in [-10.0, EDGE * 0.45, EDGE * 0.95] {
            let x = x + self.rng.random_range(-30.0..30.0);
            let (wide, high) = (self.rng.random_range(70.0..120.0), self.rng.random_range(0.3..1.0) * height);
            let color = self.vary(color, 8.0);
            self.fill(ellipse(x, self.horizon + 4.0, wide, high), color, 255);
        }
    }

    /// A row of pale houses at the far side of the street.
    fn houses(&mut self) {
        let mut left = self.rng.random_range(-30.0..0.0);
        while left < EDGE {
            let (wide, high) = (self.rng.random_range(34.0..60.0), self.rng.random_range(40.0..78.0));
            let wall = pick(self.rng, &[[206, 198, 190], [192, 200, 206], [214, 204, 188], [198, 192, 200]]);
            let top = self.horizon - high;
            self.fill(rect(left, top, left + wide, self.horizon + 1.0), wall, 255);
            self.fill(rect(left, top, left + wide, top + 3.0), wall.map(|channel| channel - 40), 255);
            let mut y = top + 12.0;
            while y + 10.0 < self.horizon - 4.0 {
                let mut x = left + 6.0;
                while x + 8.0 < left + wide - 2.0 {
                    self.fill(rect(x, y, x + 7.0, y + 9.0), [150, 166, 182], 255);
                    x += 13.0;
                }
                y += 18.0;
            }
            left += wide;
        }
    }

    fn specks(&mut self, count: u32, rows: std::ops::Range<f32>, color: Rgb) {
        for _ in 0..count {
            let (x, y) = (self.rng.random_range(0.0..EDGE), self.rng.random_range(rows.clone()));
            self.fill(ellipse(x, y, 1.4, 0.9), color, 170);
        }
    }

    /// A wavy line from edge to edge.
    fn wave(&mut self, y: f32, height: f32) -> Option<Path> {
        let start = self.rng.random_range(-40.0..0.0);
        path(|pen| {
            pen.move_to(start, y);
            for step in 0..8 {
                let x = start + 40.0 * step as f32;
                pen.quad_to(x + 10.0, y - height, x + 20.0, y);
                pen.quad_to(x + 30.0, y + height, x + 40.0, y);
            }
        })
    }

    /// `color` moved by up to `reach`, all channels alike.
    fn vary(&mut self, color: Rgb, reach: f32) -> Rgb {
        let shift = self.rng.random_range(-reach..reach);
        color.map(|channel| (f32::from(channel) + shift).clamp(0.0, 255.0) as u8)
    }

    fn band(&mut self, top: f32, bottom: f32, from: Rgb, to: Rgb) {
        self.fill_gradient(rect(0.0, top, EDGE, bottom), top, bottom, from, to);
    }

    fn fill(&mut self, path: Option<Path>, [red, green, blue]: Rgb, alpha: u8) {
        self.fill_with(path, &solid(Color::from_rgba8(red, green, blue, alpha)));
    }

    fn fill_gradient(&mut self, path: Option<Path>, top: f32, bottom: f32, from: Rgb, to: Rgb) {
        let [from, to] = [from, to].map(|[red, green, blue]| Color::from_rgba8(red, green, blue, 255));
        let stops = vec![GradientStop::new(0.0, from), GradientStop::new(1.0, to)];
        let (start, end) = (Point::from_xy(0.0, top), Point::from_xy(0.0, bottom));
        let gradient = LinearGradient::new(start, end, stops, SpreadMode::Pad, Transform::identity());
        let shader = gradient.unwrap_or(Shader::SolidColor(from));
        self.fill_with(path, &Paint { shader, ..Paint::default() });
    }

    fn fill_with(&mut self, path: Option<Path>, paint: &Paint<'_>) {
        if let Some(path) = path {
            self.canvas.fill_path(&path, paint, FillRule::Winding, Transform::identity(), None);
        }
    }

    fn stroke(&mut self, path: Option<Path>, width: f32, [red, green, blue]: Rgb, alpha: u8) {
        let stroke = Stroke { width, line_cap: LineCap::Round, ..Stroke::default() };
        if let Some(path) = path {
            let paint = solid(Color::from_rgba8(red, green, blue, alpha));
            self.canvas.stroke_path(&path, &paint, &stroke, Transform::identity(), None);
        }
    }
}
