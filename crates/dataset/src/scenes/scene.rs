//! Sampling: what is in a scene and where.
//!
//! An arrangement is drawn first and then objects that fit it, so the relation that the captions state holds by
//! construction.
//!
//! Invariant: every box lies inside the picture, and boxes are disjoint unless one object stands on the other.

use rand::RngExt;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::item::Item;
use super::world::{Color, Habitat, Kind, Place, Size};
use super::{Object, SIDE};

/// Pixels that stay free around the picture's edge.
const MARGIN: f32 = 4.0;
/// Pixels that stay free between neighbours.
const GAP: f32 = 5.0;
/// Pixels of at most the gap between things that are next to each other.
const NEAR: f32 = 12.0;

/// What can stand on something else.
const RIDERS: [Kind; 4] = [Kind::Ball, Kind::Box, Kind::Cup, Kind::Star];

/// A scene before it is drawn.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) place: Place,
    pub(super) arrangement: Arrangement,
    /// Height of the horizon, of the wall's foot or of the table's edge, in pixels from the top.
    pub(super) horizon: f32,
    /// Different in kind or colour.
    pub(super) groups: Vec<Group>,
    /// By group; what is on top comes first.
    pub(super) items: Vec<Item>,
}

/// How the groups of a scene are placed to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrangement {
    /// No other group to stand beside.
    Alone,
    /// Two or three groups in any order.
    Mixed,
    /// Group 0 is left of group 1.
    LeftOf,
    /// Group 0 is left of group 1, and near.
    Beside,
    /// Group 0 is in the air above group 1.
    Above,
    /// Group 0 stands on group 1.
    On,
    /// Group 0 is between the two others, or between the two objects of group 1.
    Between,
}

/// Objects that are alike.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) kind: Kind,
    pub(super) color: Color,
    pub(super) size: Size,
    pub(super) count: usize,
}

/// An element of a list that is not empty.
pub(super) fn pick<T: Copy>(rng: &mut ChaCha8Rng, list: &[T]) -> T {
    list[rng.random_range(0..list.len())]
}

/// Draws a scene's content and layout.
pub(super) fn sample(rng: &mut ChaCha8Rng) -> Plan {
    use Arrangement::*;
    // Repeats are weights.
    let arrangement = pick(
        rng,
        &[
            Alone, Alone, Alone, Alone, Mixed, Mixed, LeftOf, LeftOf, LeftOf, Beside, Beside, Above, Above,
            On, Between,
        ],
    );
    let places: Vec<Place> = Place::ALL.into_iter().filter(|&place| can_hold(place, arrangement)).collect();
    let place = pick(rng, &places);
    let horizon = rng.random_range(108.0..136.0);
    let groups = sample_groups(arrangement, place, rng);
    let mut plan = Plan { place, arrangement, horizon, groups, items: Vec::new() };
    plan.items = (0..plan.groups.len())
        .flat_map(|group| std::iter::repeat_n(group, plan.groups[group].count))
        .map(|group| sample_item(group, &plan.groups[group], rng))
        .collect();
    match arrangement {
        Above => plan.place_above(rng),
        On => plan.place_on(rng),
        Alone | Mixed | LeftOf | Beside | Between => plan.place_in_row(rng),
    }
    plan
}

/// Kinds at `place` that live in `habitat`.
fn living_in(place: Place, habitat: Habitat) -> Vec<Kind> {
    place.kinds().iter().copied().filter(|&kind| place.habitat(kind) == habitat).collect()
}

fn can_hold(place: Place, arrangement: Arrangement) -> bool {
    match arrangement {
        Arrangement::Above => !living_in(place, Habitat::Air).is_empty(),
        Arrangement::On => place.kinds().contains(&Kind::Box),
        _ => true,
    }
}

fn sample_groups(arrangement: Arrangement, place: Place, rng: &mut ChaCha8Rng) -> Vec<Group> {
    let counts: &[usize] = match arrangement {
        Arrangement::Alone => pick(rng, &[&[1], &[1], &[2], &[2], &[3], &[4]]),
        Arrangement::Mixed => pick(rng, &[&[1, 2][..], &[2, 1], &[1, 1, 1], &[2, 2], &[1, 1, 2], &[3, 1]]),
        Arrangement::LeftOf | Arrangement::Beside => {
            pick(rng, &[&[1, 1], &[1, 1], &[1, 1], &[2, 1], &[1, 2], &[2, 2]])
        }
        Arrangement::Above | Arrangement::On => &[1, 1],
        Arrangement::Between => pick(rng, &[&[1, 2][..], &[1, 1, 1]]),
    };
    let kinds = sample_kinds(arrangement, place, counts.len(), rng);
    let total = counts.iter().sum();
    let sizes = sample_sizes(arrangement, counts.len(), total, rng);

    let mut groups: Vec<Group> = Vec::new();
    for ((kind, size), &count) in kinds.into_iter().zip(sizes).zip(counts) {
        let taken = |color| groups.iter().any(|other| other.kind == kind && other.color == color);
        let colors: Vec<Color> =
            Color::ALL.into_iter().filter(|&color| place.shows(color) && !taken(color)).collect();
        groups.push(Group { kind, color: pick(rng, &colors), size, count });
    }
    groups
}

fn sample_kinds(arrangement: Arrangement, place: Place, groups: usize, rng: &mut ChaCha8Rng) -> Vec<Kind> {
    let air = living_in(place, Habitat::Air);
    let rest: Vec<Kind> = place.kinds().iter().copied().filter(|kind| !air.contains(kind)).collect();
    match arrangement {
        Arrangement::Above => {
            let low = if rest.is_empty() { &air } else { &rest };
            vec![pick(rng, &air), pick(rng, low)]
        }
        Arrangement::On => {
            let bearers = rest.iter().copied().filter(|kind| kind.ledge().is_some());
            let pairs: Vec<[Kind; 2]> = bearers
                .flat_map(|bearer| RIDERS.map(|rider| [rider, bearer]))
                .filter(|[rider, bearer]| rider != bearer && rest.contains(rider))
                .collect();
            pick(rng, &pairs).to_vec()
        }
        _ => {
            // Things side by side are all in the air or all below.
            let fly = rest.is_empty() || !air.is_empty() && rng.random_bool(0.2);
            let mut kinds = if fly { air } else { rest };
            kinds.shuffle(rng);
            let mut kinds: Vec<Kind> = kinds.into_iter().cycle().take(groups).collect();
            // Now and then only the colour tells two groups apart.
            if groups > 1 && rng.random_bool(0.15) {
                kinds[1] = kinds[0];
            }
            kinds
        }
    }
}

/// Sizes of the groups such that `total` objects fit.
fn sample_sizes(arrangement: Arrangement, groups: usize, total: usize, rng: &mut ChaCha8Rng) -> Vec<Size> {
    use Size::*;
    if arrangement == Arrangement::On {
        return pick(rng, &[[Small, Medium], [Small, Large], [Medium, Large]]).to_vec();
    }
    if arrangement == Arrangement::Above {
        let sizes = [
            [Small, Medium],
            [Small, Large],
            [Medium, Small],
            [Medium, Medium],
            [Medium, Large],
            [Large, Small],
            [Large, Medium],
        ];
        return pick(rng, &sizes).to_vec();
    }
    let sizes: &[Size] = match total {
        1 | 2 => &[Small, Medium, Medium, Large],
        3 => &[Small, Medium, Medium],
        _ => &[Small],
    };
    (0..groups).map(|_| pick(rng, sizes)).collect()
}

fn sample_item(group: usize, of: &Group, rng: &mut ChaCha8Rng) -> Item {
    let tilt = match of.kind {
        Kind::Ball => 40.0,
        Kind::Kite => 22.0,
        Kind::Balloon | Kind::Bird | Kind::Star => 12.0,
        Kind::Boat | Kind::Fish | Kind::Flower | Kind::Mushroom => 5.0,
        _ => 1.5,
    };
    Item {
        group,
        x: 0.0,
        bottom: 0.0,
        length: rng.random_range(of.size.pixels()),
        angle: rng.random_range(-tilt..tilt),
        flip: rng.random_bool(0.5),
        shade: rng.random_range(0.93..1.05),
    }
}

impl Plan {
    /// What the table of objects says of this scene.
    pub(super) fn objects(&self) -> Vec<Object> {
        let object = |item: &Item| {
            let Group { kind, color, size, .. } = self.groups[item.group];
            let (noun, color, size) = (kind.noun(), color.name(), size.name());
            Object { noun, color, size, group: item.group, bbox: item.bbox(kind) }
        };
        self.items.iter().map(object).collect()
    }

    fn extent(&self, item: usize) -> [f32; 2] {
        let item = &self.items[item];
        item.extent(self.groups[item.group].kind)
    }

    /// Where the lower edge of something of that height may be.
    fn bottoms(&self, habitat: Habitat, height: f32) -> std::ops::Range<f32> {
        let lowest = SIDE as f32 - MARGIN;
        match (habitat, self.place) {
            (Habitat::Air, Place::Sky) => MARGIN + height..lowest,
            (Habitat::Air, _) => MARGIN + height..(MARGIN + height + 1.0).max(self.horizon + 30.0),
            // Street: in front of the kerb. Others: not right at the horizon.
            (_, Place::Street) => self.horizon + 50.0..lowest,
            _ => self.horizon + 24.0..lowest,
        }
    }

    /// All objects side by side, in the order that the arrangement asks for.
    fn place_in_row(&mut self, rng: &mut ChaCha8Rng) {
        let mut row: Vec<usize> = (0..self.items.len()).collect();
        match self.arrangement {
            Arrangement::Mixed => row.shuffle(rng),
            Arrangement::Between => row.swap(0, 1),
            _ => {}
        }
        let same_group = |pair: &[usize]| self.items[pair[0]].group == self.items[pair[1]].group;
        let gaps: Vec<f32> = row
            .windows(2)
            .map(|pair| match self.arrangement {
                Arrangement::LeftOf if !same_group(pair) => NEAR,
                _ => GAP,
            })
            .collect();
        let widths: Vec<f32> = row.iter().map(|&item| self.extent(item)[0]).collect();
        let used = widths.iter().sum::<f32>() + gaps.iter().sum::<f32>() + 2.0 * MARGIN;
        let mut slack = (SIDE as f32 - used).max(0.0);
        let near = self.arrangement == Arrangement::Beside;

        let habitat = self.place.habitat(self.groups[0].kind);
        let level: f32 = rng.random();
        let mut left = MARGIN;
        let shares = spread(row.len() + 1, rng);
        if near {
            left += slack * shares[0] / (shares[0] + shares[1]);
            slack = 0.0;
        }
        for (place, &item) in row.iter().enumerate() {
            left += slack * shares[place];
            let [width, height] = self.extent(item);
            let range = self.bottoms(habitat, height);
            // Neighbours stand about level; others may be nearer or farther away.
            let freedom = if near { 0.1 } else { 0.5 };
            let level = level * (1.0 - freedom) + rng.random::<f32>() * freedom;
            self.items[item].x = left + width / 2.0;
            self.items[item].bottom = range.start + level * (range.end - range.start);
            left += width + gaps.get(place).copied().unwrap_or_default();
        }
    }

    /// Object 0 in the air, object 1 below it.
    fn place_above(&mut self, rng: &mut ChaCha8Rng) {
        let extents = [self.extent(0), self.extent(1)];
        let [high, high_below] = extents.map(|[_, height]| height);
        let lowest = SIDE as f32 - MARGIN;
        let bottom = rng.random_range(lowest - 30.0..lowest);
        let sky = bottom - high_below - high - MARGIN;
        self.items[1].bottom = bottom;
        self.items[0].bottom = bottom - high_below - rng.random_range(GAP..sky.max(GAP + 1.0));

        // The middle of the narrower one is above or below some part of the wider one.
        let (narrow, wide) = if extents[0][0] < extents[1][0] { (0, 1) } else { (1, 0) };
        let [half_narrow, half_wide] = [narrow, wide].map(|item| extents[item][0] / 2.0);
        let x = rng.random_range(MARGIN + half_wide..SIDE as f32 - MARGIN - half_wide);
        let reach = (half_wide - half_narrow).max(half_narrow / 3.0);
        let inside = MARGIN + half_narrow..SIDE as f32 - MARGIN - half_narrow;
        self.items[wide].x = x;
        self.items[narrow].x = (x + rng.random_range(-reach..reach)).clamp(inside.start, inside.end);
    }

    /// Object 0 on top of object 1.
    fn place_on(&mut self, rng: &mut ChaCha8Rng) {
        let [wide_below, high_below] = self.extent(1);
        let range = self.bottoms(Habitat::Ground, high_below);
        let half = wide_below / 2.0 + MARGIN;
        let ledge = self.groups[1].kind.ledge().unwrap_or_default();
        self.items[1].x = rng.random_range(half..SIDE as f32 - half);
        self.items[1].bottom = rng.random_range(range.start.max(200.0)..range.end);
        self.items[0].x = self.items[1].x;
        self.items[0].bottom = self.items[1].bottom - high_below * (1.0 - ledge);
    }
}

/// `count` positive shares with a sum of 1.
fn spread(count: usize, rng: &mut ChaCha8Rng) -> Vec<f32> {
    let parts: Vec<f32> = (0..count).map(|_| rng.random_range(0.1..1.0)).collect();
    let sum: f32 = parts.iter().sum();
    parts.into_iter().map(|part| part / sum).collect()
}
