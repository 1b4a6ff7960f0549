//! What each kind of object looks like.

use std::f32::consts::{PI, TAU};

use super::sketch::Ink::{Dark, Fixed, Light, Line, Main, Shine, Trim};
use super::sketch::{Ink, Layer, Sketch, circle, ellipse, path, polygon, polyline, rect};
use super::world::Kind;

const WOOD: Ink = Fixed(132, 88, 54);
const COAL: Ink = Fixed(46, 44, 54);
const GLASS: Ink = Fixed(188, 222, 238);
const LEAF: Ink = Fixed(70, 142, 66);
const CREAM: Ink = Fixed(240, 226, 196);
const BEAK: Ink = Fixed(240, 158, 40);

/// The layers of a kind, lowest first.
pub(super) fn layers(kind: Kind) -> Vec<Layer> {
    let draw = match kind {
        Kind::Ball => ball,
        Kind::Balloon => balloon,
        Kind::Bird => bird,
        Kind::Boat => boat,
        Kind::Box => crate_box,
        Kind::Car => car,
        Kind::Cup => cup,
        Kind::Fish => fish,
        Kind::Flower => flower,
        Kind::House => house,
        Kind::Kite => kite,
        Kind::Mushroom => mushroom,
        Kind::Star => star,
        Kind::Tent => tent,
        Kind::Tree => tree,
        Kind::Umbrella => umbrella,
    };
    let mut sketch = Sketch::default();
    draw(&mut sketch);
    sketch.layers()
}

/// A beach ball: a white band around its middle and a shine.
fn ball(s: &mut Sketch) {
    s.area(Main, circle(50.0, 50.0, 47.0));
    let band = path(|pen| {
        pen.move_to(36.0, 5.2);
        pen.quad_to(66.0, 50.0, 36.0, 94.8);
        pen.line_to(62.0, 95.5);
        pen.quad_to(98.0, 50.0, 62.0, 4.5);
        pen.close();
    });
    s.flat(Trim, band);
    s.line(
        Line,
        2.0,
        path(|pen| {
            pen.move_to(36.0, 5.2);
            pen.quad_to(66.0, 50.0, 36.0, 94.8);
        }),
    );
    s.line(
        Line,
        2.0,
        path(|pen| {
            pen.move_to(62.0, 4.5);
            pen.quad_to(98.0, 50.0, 62.0, 95.5);
        }),
    );
    s.flat(Shine, ellipse(28.0, 28.0, 10.0, 7.0));
}

/// A toy balloon on a string.
fn balloon(s: &mut Sketch) {
    let string = path(|pen| {
        pen.move_to(50.0, 72.0);
        pen.cubic_to(58.0, 80.0, 42.0, 88.0, 50.0, 99.0);
    });
    s.line(COAL, 1.8, string);
    s.area(Main, polygon(&[[50.0, 66.0], [56.0, 75.0], [44.0, 75.0]]));
    let bag = path(|pen| {
        pen.move_to(50.0, 70.0);
        pen.cubic_to(28.0, 64.0, 17.0, 46.0, 17.0, 32.0);
        pen.cubic_to(17.0, 14.0, 32.0, 2.0, 50.0, 2.0);
        pen.cubic_to(68.0, 2.0, 83.0, 14.0, 83.0, 32.0);
        pen.cubic_to(83.0, 46.0, 72.0, 64.0, 50.0, 70.0);
        pen.close();
    });
    s.area(Main, bag);
    s.flat(Shine, ellipse(36.0, 22.0, 7.0, 10.0));
}

/// A bird in flight, to the right.
fn bird(s: &mut Sketch) {
    s.area(Dark, polygon(&[[20.0, 60.0], [0.0, 50.0], [4.0, 64.0], [0.0, 74.0], [24.0, 70.0]]));
    let far_wing = path(|pen| {
        pen.move_to(42.0, 56.0);
        pen.quad_to(38.0, 30.0, 56.0, 16.0);
        pen.quad_to(66.0, 36.0, 62.0, 58.0);
        pen.close();
    });
    s.area(Dark, far_wing);
    s.area(BEAK, polygon(&[[90.0, 51.0], [104.0, 56.0], [90.0, 61.0]]));
    let body = path(|pen| {
        pen.move_to(12.0, 64.0);
        pen.quad_to(34.0, 46.0, 60.0, 48.0);
        pen.quad_to(72.0, 38.0, 84.0, 42.0);
        pen.quad_to(96.0, 48.0, 92.0, 60.0);
        pen.quad_to(78.0, 86.0, 46.0, 82.0);
        pen.quad_to(24.0, 80.0, 12.0, 64.0);
        pen.close();
    });
    s.area(Main, body);
    let wing = path(|pen| {
        pen.move_to(62.0, 64.0);
        pen.quad_to(50.0, 20.0, 18.0, 12.0);
        pen.quad_to(16.0, 44.0, 40.0, 70.0);
        pen.quad_to(52.0, 74.0, 62.0, 64.0);
        pen.close();
    });
    s.area(Light, wing);
    s.line(Line, 2.0, polyline(&[[30.0, 30.0], [44.0, 56.0]]));
    s.line(Line, 2.0, polyline(&[[26.0, 42.0], [38.0, 60.0]]));
    s.flat(COAL, circle(81.0, 53.0, 3.6));
}

/// A sailing boat with two sails.
fn boat(s: &mut Sketch) {
    s.line(WOOD, 4.0, polyline(&[[48.0, 4.0], [48.0, 74.0]]));
    s.area(
        Trim,
        path(|pen| {
            pen.move_to(53.0, 10.0);
            pen.quad_to(84.0, 36.0, 86.0, 64.0);
            pen.line_to(53.0, 64.0);
            pen.close();
        }),
    );
    s.area(
        Main,
        path(|pen| {
            pen.move_to(43.0, 20.0);
            pen.quad_to(26.0, 42.0, 16.0, 64.0);
            pen.line_to(43.0, 64.0);
            pen.close();
        }),
    );
    let hull = path(|pen| {
        pen.move_to(2.0, 72.0);
        pen.line_to(98.0, 72.0);
        pen.quad_to(92.0, 92.0, 80.0, 98.0);
        pen.line_to(22.0, 98.0);
        pen.quad_to(8.0, 90.0, 2.0, 72.0);
        pen.close();
    });
    s.area(Main, hull);
    s.flat(Trim, polygon(&[[6.0, 79.0], [95.0, 79.0], [93.0, 84.0], [9.0, 84.0]]));
}

/// A closed box seen from above its corner, with a strip of tape.
fn crate_box(s: &mut Sketch) {
    s.area(Light, polygon(&[[2.0, 30.0], [24.0, 12.0], [98.0, 12.0], [76.0, 30.0]]));
    s.area(Dark, polygon(&[[76.0, 30.0], [98.0, 12.0], [98.0, 80.0], [76.0, 98.0]]));
    s.area(Main, polygon(&[[2.0, 30.0], [76.0, 30.0], [76.0, 98.0], [2.0, 98.0]]));
    s.flat(Trim, polygon(&[[32.0, 30.0], [54.0, 12.0], [68.0, 12.0], [46.0, 30.0]]));
    s.flat(Trim, polygon(&[[32.0, 30.0], [46.0, 30.0], [46.0, 52.0], [39.0, 47.0], [32.0, 52.0]]));
    s.line(Line, 2.4, polyline(&[[2.0, 30.0], [76.0, 30.0]]));
}

/// A small car, to the right.
fn car(s: &mut Sketch) {
    let body = path(|pen| {
        pen.move_to(2.0, 88.0);
        pen.line_to(2.0, 70.0);
        pen.quad_to(4.0, 62.0, 18.0, 60.0);
        pen.quad_to(26.0, 42.0, 36.0, 40.0);
        pen.line_to(60.0, 40.0);
        pen.quad_to(72.0, 42.0, 80.0, 60.0);
        pen.quad_to(97.0, 62.0, 98.0, 74.0);
        pen.line_to(98.0, 88.0);
        pen.close();
    });
    s.area(Main, body);
    s.area(GLASS, polygon(&[[28.0, 60.0], [36.0, 47.0], [46.0, 47.0], [46.0, 60.0]]));
    s.area(GLASS, polygon(&[[53.0, 60.0], [53.0, 47.0], [60.0, 47.0], [70.0, 60.0]]));
    s.line(Line, 1.6, polyline(&[[49.5, 62.0], [49.5, 86.0]]));
    s.line(Line, 2.4, polyline(&[[53.0, 68.0], [59.0, 68.0]]));
    s.flat(Fixed(255, 240, 170), ellipse(94.0, 71.0, 3.5, 4.5));
    for x in [24.0, 76.0] {
        s.flat(COAL, circle(x, 88.0, 12.5));
        s.flat(Fixed(196, 198, 206), circle(x, 88.0, 6.0));
    }
}

/// A mug with a white band.
fn cup(s: &mut Sketch) {
    let handle = || {
        path(|pen| {
            pen.move_to(70.0, 38.0);
            pen.cubic_to(104.0, 32.0, 104.0, 80.0, 68.0, 76.0);
        })
    };
    s.line(Line, 15.0, handle());
    s.line(Main, 9.0, handle());
    let side = path(|pen| {
        pen.move_to(8.0, 18.0);
        pen.line_to(72.0, 18.0);
        pen.line_to(69.0, 90.0);
        pen.quad_to(40.0, 104.0, 11.0, 90.0);
        pen.close();
    });
    s.area(Main, side);
    s.flat(
        Trim,
        path(|pen| {
            pen.move_to(9.4, 54.0);
            pen.quad_to(40.0, 66.0, 70.6, 54.0);
            pen.line_to(70.1, 66.0);
            pen.quad_to(40.0, 78.0, 9.9, 66.0);
            pen.close();
        }),
    );
    s.area(Light, ellipse(40.0, 18.0, 32.0, 9.0));
    s.flat(Fixed(94, 58, 38), ellipse(40.0, 20.0, 25.0, 5.5));
}

/// A fish with stripes, to the left.
fn fish(s: &mut Sketch) {
    s.area(
        Dark,
        path(|pen| {
            pen.move_to(66.0, 50.0);
            pen.quad_to(88.0, 40.0, 99.0, 18.0);
            pen.quad_to(92.0, 50.0, 99.0, 82.0);
            pen.quad_to(88.0, 60.0, 66.0, 50.0);
            pen.close();
        }),
    );
    s.area(
        Dark,
        path(|pen| {
            pen.move_to(28.0, 32.0);
            pen.quad_to(42.0, 8.0, 62.0, 16.0);
            pen.line_to(58.0, 36.0);
            pen.close();
        }),
    );
    let body = path(|pen| {
        pen.move_to(2.0, 52.0);
        pen.quad_to(18.0, 24.0, 44.0, 24.0);
        pen.quad_to(66.0, 26.0, 78.0, 50.0);
        pen.quad_to(66.0, 76.0, 44.0, 78.0);
        pen.quad_to(18.0, 78.0, 2.0, 52.0);
        pen.close();
    });
    s.area(Main, body);
    for x in [42.0, 58.0] {
        s.line(
            Light,
            6.0,
            path(|pen| {
                pen.move_to(x, 32.0);
                pen.quad_to(x + 9.0, 50.0, x, 70.0);
            }),
        );
    }
    s.area(
        Dark,
        path(|pen| {
            pen.move_to(36.0, 54.0);
            pen.quad_to(52.0, 56.0, 54.0, 66.0);
            pen.quad_to(42.0, 68.0, 36.0, 54.0);
            pen.close();
        }),
    );
    s.flat(Fixed(255, 255, 255), circle(20.0, 46.0, 6.5));
    s.flat(COAL, circle(18.5, 46.0, 3.6));
    s.line(
        Line,
        2.0,
        path(|pen| {
            pen.move_to(5.0, 57.0);
            pen.quad_to(11.0, 61.0, 16.0, 58.0);
        }),
    );
}

/// A flower with six petals, a stem and two leaves.
fn flower(s: &mut Sketch) {
    s.line(
        LEAF,
        5.0,
        path(|pen| {
            pen.move_to(50.0, 40.0);
            pen.quad_to(46.0, 70.0, 50.0, 97.0);
        }),
    );
    for side in [-1.0, 1.0] {
        let leaf = path(|pen| {
            pen.move_to(49.0, 90.0);
            pen.quad_to(50.0 + side * 10.0, 68.0, 50.0 + side * 30.0, 68.0);
            pen.quad_to(50.0 + side * 26.0, 88.0, 49.0, 90.0);
            pen.close();
        });
        s.flat(LEAF, leaf);
    }
    let petals = (0..6).map(|petal| {
        let angle = petal as f32 * TAU / 6.0;
        circle(50.0 + 19.0 * angle.sin(), 34.0 - 19.0 * angle.cos(), 13.5)
    });
    s.union(Main, &petals.collect::<Vec<_>>());
    s.area(Fixed(124, 82, 34), circle(50.0, 34.0, 10.5));
}

/// A house with a slate roof, a door, a window and a chimney.
fn house(s: &mut Sketch) {
    s.area(Fixed(150, 84, 66), rect(68.0, 10.0, 80.0, 40.0));
    s.area(Main, rect(12.0, 44.0, 88.0, 98.0));
    s.area(Fixed(88, 82, 92), polygon(&[[2.0, 48.0], [50.0, 6.0], [98.0, 48.0]]));
    s.area(Fixed(112, 72, 44), rect(56.0, 66.0, 74.0, 98.0));
    s.flat(Fixed(236, 200, 90), circle(70.0, 83.0, 2.0));
    s.area(GLASS, rect(23.0, 60.0, 45.0, 80.0));
    s.line(Line, 2.2, polyline(&[[34.0, 60.0], [34.0, 80.0]]));
    s.line(Line, 2.2, polyline(&[[23.0, 70.0], [45.0, 70.0]]));
}

/// A diamond kite with a tail of ribbons.
fn kite(s: &mut Sketch) {
    let tail = path(|pen| {
        pen.move_to(50.0, 68.0);
        pen.cubic_to(62.0, 78.0, 38.0, 86.0, 50.0, 98.0);
    });
    s.line(COAL, 1.8, tail);
    for [x, y] in [[54.0, 77.0], [46.0, 88.0]] {
        s.flat(Dark, polygon(&[[x, y], [x - 8.0, y - 5.0], [x - 8.0, y + 5.0]]));
        s.flat(Dark, polygon(&[[x, y], [x + 8.0, y - 5.0], [x + 8.0, y + 5.0]]));
    }
    s.area(Main, polygon(&[[50.0, 3.0], [80.0, 30.0], [50.0, 70.0], [20.0, 30.0]]));
    s.flat(Light, polygon(&[[50.0, 3.0], [80.0, 30.0], [50.0, 30.0]]));
    s.flat(Dark, polygon(&[[50.0, 70.0], [20.0, 30.0], [50.0, 30.0]]));
    s.line(Line, 2.0, polyline(&[[50.0, 3.0], [50.0, 70.0]]));
    s.line(Line, 2.0, polyline(&[[20.0, 30.0], [80.0, 30.0]]));
}

/// A toadstool with white dots.
fn mushroom(s: &mut Sketch) {
    let stem = path(|pen| {
        pen.move_to(38.0, 52.0);
        pen.quad_to(40.0, 78.0, 32.0, 94.0);
        pen.quad_to(50.0, 101.0, 68.0, 94.0);
        pen.quad_to(60.0, 78.0, 62.0, 52.0);
        pen.close();
    });
    s.area(CREAM, stem);
    let cap = path(|pen| {
        pen.move_to(4.0, 54.0);
        pen.cubic_to(6.0, -12.0, 94.0, -12.0, 96.0, 54.0);
        pen.quad_to(50.0, 70.0, 4.0, 54.0);
        pen.close();
    });
    s.area(Main, cap);
    for [x, y, r] in
        [[30.0, 30.0, 8.0], [56.0, 20.0, 7.0], [74.0, 40.0, 8.0], [48.0, 46.0, 6.0], [18.0, 48.0, 4.5]]
    {
        s.flat(Trim, ellipse(x, y, r, r * 0.85));
    }
}

/// A five-pointed star, each arm half in light and half in shade.
fn star(s: &mut Sketch) {
    let point = |step: usize| {
        let angle = step as f32 * PI / 5.0;
        let radius = if step.is_multiple_of(2) { 50.0 } else { 22.0 };
        [50.0 + radius * angle.sin(), 50.0 - radius * angle.cos()]
    };
    s.area(Main, polygon(&std::array::from_fn::<_, 10, _>(point)));
    for arm in 0..5 {
        s.flat(Light, polygon(&[[50.0, 50.0], point(2 * arm), point(2 * arm + 1)]));
    }
}

/// A ridge tent with an open entrance.
fn tent(s: &mut Sketch) {
    s.line(WOOD, 4.0, polyline(&[[44.0, 16.0], [50.0, 4.0]]));
    s.area(Dark, polygon(&[[46.0, 12.0], [76.0, 24.0], [98.0, 86.0], [82.0, 97.0]]));
    s.area(Main, polygon(&[[46.0, 12.0], [82.0, 97.0], [2.0, 97.0]]));
    s.flat(COAL, polygon(&[[46.0, 34.0], [66.0, 97.0], [30.0, 97.0]]));
    s.area(
        Light,
        path(|pen| {
            pen.move_to(46.0, 34.0);
            pen.quad_to(30.0, 62.0, 18.0, 97.0);
            pen.line_to(32.0, 97.0);
            pen.quad_to(42.0, 66.0, 46.0, 34.0);
            pen.close();
        }),
    );
}

/// A tree with a round crown.
fn tree(s: &mut Sketch) {
    let trunk = path(|pen| {
        pen.move_to(44.0, 58.0);
        pen.quad_to(44.0, 84.0, 38.0, 98.0);
        pen.line_to(62.0, 98.0);
        pen.quad_to(56.0, 84.0, 56.0, 58.0);
        pen.close();
    });
    s.area(WOOD, trunk);
    let crown = [
        [50.0, 24.0, 21.0],
        [28.0, 36.0, 18.0],
        [72.0, 36.0, 18.0],
        [36.0, 54.0, 17.0],
        [64.0, 54.0, 17.0],
        [50.0, 42.0, 22.0],
    ];
    s.union(Main, &crown.map(|[x, y, r]| circle(x, y, r)));
    for [x, y, r] in [[42.0, 20.0, 8.0], [26.0, 34.0, 6.5], [60.0, 38.0, 7.0]] {
        s.flat(Light, ellipse(x, y, r, r * 0.8));
    }
    for [x, y, r] in [[72.0, 48.0, 6.0], [48.0, 58.0, 7.0]] {
        s.flat(Dark, ellipse(x, y, r, r * 0.7));
    }
}

/// An open umbrella with a crook.
fn umbrella(s: &mut Sketch) {
    let shaft = || {
        path(|pen| {
            pen.move_to(50.0, 8.0);
            pen.line_to(50.0, 88.0);
            pen.cubic_to(50.0, 100.0, 66.0, 100.0, 66.0, 88.0);
        })
    };
    s.line(COAL, 6.5, shaft());
    s.line(WOOD, 3.5, shaft());
    let canopy = path(|pen| {
        pen.move_to(2.0, 54.0);
        pen.cubic_to(4.0, -8.0, 96.0, -8.0, 98.0, 54.0);
        pen.quad_to(82.0, 42.0, 66.0, 54.0);
        pen.quad_to(50.0, 42.0, 34.0, 54.0);
        pen.quad_to(18.0, 42.0, 2.0, 54.0);
        pen.close();
    });
    s.area(Main, canopy);
    s.flat(
        Light,
        path(|pen| {
            pen.move_to(50.0, 8.5);
            pen.quad_to(34.0, 22.0, 34.0, 54.0);
            pen.quad_to(50.0, 42.0, 66.0, 54.0);
            pen.quad_to(66.0, 22.0, 50.0, 8.5);
            pen.close();
        }),
    );
    for x in [34.0, 66.0] {
        s.line(
            Line,
            1.8,
            path(|pen| {
                pen.move_to(50.0, 8.5);
                pen.quad_to(x, 22.0, x, 54.0);
            }),
        );
    }
}
