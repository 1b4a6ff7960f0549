//! What there is in the scenes and what it is called.
//!
//! Each noun, colour and place is one row here: the sampler, the painter and the grammar read the same table.

/// What is drawn; each has one word in the singular and one in the plural.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Ball,
    Balloon,
    Bird,
    Boat,
    Box,
    Car,
    Cup,
    Fish,
    Flower,
    House,
    Kite,
    Mushroom,
    Star,
    Tent,
    Tree,
    Umbrella,
}

impl Kind {
    /// In the singular.
    pub(super) fn noun(self) -> &'static str {
        match self {
            Kind::Ball => "ball",
            Kind::Balloon => "balloon",
            Kind::Bird => "bird",
            Kind::Boat => "boat",
            Kind::Box => "box",
            Kind::Car => "car",
            Kind::Cup => "cup",
            Kind::Fish => "fish",
            Kind::Flower => "flower",
            Kind::House => "house",
            Kind::Kite => "kite",
            Kind::Mushroom => "mushroom",
            Kind::Star => "star",
            Kind::Tent => "tent",
            Kind::Tree => "tree",
            Kind::Umbrella => "umbrella",
        }
    }

    /// The word for several of it.
    pub(super) fn plural(self) -> String {
        match self {
            Kind::Box => "boxes".to_owned(),
            Kind::Fish => "fish".to_owned(),
            kind => format!("{}s", kind.noun()),
        }
    }

    /// What several of it do at `place`; the singular adds an `s` or `es`.
    pub(super) fn verbs(self, place: Place) -> &'static [&'static str] {
        match (self, place.habitat(self)) {
            (Kind::Bird, _) => &["fly", "glide"],
            (Kind::Star, Habitat::Air) => &["shine"],
            (_, Habitat::Air) => &["float", "fly"],
            (Kind::Fish, _) => &["swim"],
            (Kind::Boat, _) => &["float", "sail"],
            (_, Habitat::Water) => &["float"],
            (Kind::Ball | Kind::Star, _) => &["lie", "rest"],
            (Kind::Flower | Kind::Mushroom, _) if place != Place::Table => &["grow", "stand"],
            (Kind::Box | Kind::Cup, _) => &["stand", "sit"],
            _ => &["stand"],
        }
    }

    /// How far below its top edge another object can stand on it, as a share of its height; `None` if none can.
    pub(super) fn ledge(self) -> Option<f32> {
        match self {
            Kind::Box => Some(0.1),
            Kind::Car => Some(0.02),
            _ => None,
        }
    }
}

/// What something stands on, hangs in or floats on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Habitat {
    Ground,
    Air,
    Water,
}

/// The colour of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Color {
    Red,
    Orange,
    Yellow,
    Green,
    Blue,
    Purple,
    Pink,
    White,
}

impl Color {
    pub(super) const ALL: [Color; 8] = [
        Color::Red,
        Color::Orange,
        Color::Yellow,
        Color::Green,
        Color::Blue,
        Color::Purple,
        Color::Pink,
        Color::White,
    ];

    /// The adjective of the captions.
    pub(super) fn name(self) -> &'static str {
        match self {
            Color::Red => "red",
            Color::Orange => "orange",
            Color::Yellow => "yellow",
            Color::Green => "green",
            Color::Blue => "blue",
            Color::Purple => "purple",
            Color::Pink => "pink",
            Color::White => "white",
        }
    }

    /// Its typical shade, sRGB.
    pub(super) fn rgb(self) -> [u8; 3] {
        match self {
            Color::Red => [216, 44, 40],
            Color::Orange => [243, 132, 28],
            Color::Yellow => [248, 211, 50],
            Color::Green => [52, 160, 68],
            Color::Blue => [40, 98, 214],
            Color::Purple => [132, 62, 176],
            Color::Pink => [246, 136, 184],
            Color::White => [244, 244, 240],
        }
    }
}

/// The size of an object, independent of its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Size {
    Small,
    Medium,
    Large,
}

impl Size {
    /// Its name in the table of objects.
    pub(super) fn name(self) -> &'static str {
        match self {
            Size::Small => "small",
            Size::Medium => "medium",
            Size::Large => "large",
        }
    }

    /// What people call it; nobody mentions that something is of medium size.
    pub(super) fn words(self) -> &'static [&'static str] {
        match self {
            Size::Small => &["small", "little", "tiny"],
            Size::Medium => &[],
            Size::Large => &["large", "big", "huge"],
        }
    }

    /// The range of an object's longer side in pixels.
    pub(super) fn pixels(self) -> std::ops::Range<f32> {
        match self {
            Size::Small => 40.0..48.0,
            Size::Medium => 62.0..72.0,
            Size::Large => 96.0..110.0,
        }
    }
}

/// Where a scene is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Beach,
    Field,
    Night,
    Room,
    Sea,
    Sky,
    Snow,
    Street,
    Table,
}

impl Place {
    pub(super) const ALL: [Place; 9] = [
        Place::Beach,
        Place::Field,
        Place::Night,
        Place::Room,
        Place::Sea,
        Place::Sky,
        Place::Snow,
        Place::Street,
        Place::Table,
    ];

    /// What can be here.
    pub(super) fn kinds(self) -> &'static [Kind] {
        use Kind::*;
        match self {
            Place::Beach => &[Ball, Box, Cup, House, Star, Tent, Umbrella, Balloon, Bird, Kite],
            Place::Field => {
                &[Ball, Box, Car, Flower, House, Mushroom, Tent, Tree, Umbrella, Balloon, Bird, Kite]
            }
            Place::Night => &[Box, Car, House, Mushroom, Tent, Tree, Umbrella, Bird, Star],
            Place::Room => &[Ball, Box, Car, Cup, Star, Umbrella, Balloon],
            Place::Sea => &[Ball, Boat, Fish, Balloon, Bird, Kite],
            Place::Sky => &[Balloon, Bird, Kite],
            Place::Snow => &[Ball, Box, Car, Cup, House, Tent, Tree, Umbrella, Balloon, Bird, Kite],
            Place::Street => &[Ball, Box, Car, Flower, House, Tree, Umbrella, Balloon, Bird],
            Place::Table => &[Ball, Box, Car, Cup, Fish, Flower, Mushroom, Star],
        }
    }

    /// Where an object of that kind is to be found here.
    pub(super) fn habitat(self, kind: Kind) -> Habitat {
        match (kind, self) {
            (Kind::Balloon | Kind::Bird | Kind::Kite, _) | (Kind::Star, Place::Night) => Habitat::Air,
            (_, Place::Sea) => Habitat::Water,
            _ => Habitat::Ground,
        }
    }

    /// Whether an object of that colour stands out.
    pub(super) fn shows(self, color: Color) -> bool {
        !matches!((self, color), (Place::Snow | Place::Sky, Color::White))
    }

    /// Where something is that stands or floats here, or flies here.
    pub(super) fn phrases(self, habitat: Habitat) -> &'static [&'static str] {
        match (self, habitat) {
            (Place::Beach, Habitat::Air) => {
                &["over the beach", "above a sandy beach", "in the sky over the sand"]
            }
            (Place::Beach, _) => {
                &["on the beach", "on the sand", "on a sandy beach", "on the sand by the sea"]
            }
            (Place::Field, Habitat::Air) => {
                &["over a green field", "above the grass", "in the sky over a meadow"]
            }
            (Place::Field, _) => {
                &["on the grass", "on the green grass", "in a grassy field", "in a green meadow"]
            }
            (Place::Night, Habitat::Air) => {
                &["in the night sky", "in the dark sky", "over a dark hill at night"]
            }
            (Place::Night, _) => &["at night", "under the night sky", "on a dark hill", "in the moonlight"],
            (Place::Room, Habitat::Air) => &["in a room with striped walls", "in front of a striped wall"],
            (Place::Room, _) => {
                &["on the wooden floor", "in front of a striped wall", "in a room with striped walls"]
            }
            (Place::Sea, Habitat::Air) => &["over the water", "above the blue sea", "over the waves"],
            (Place::Sea, _) => &["in the water", "in the blue sea", "in the sea", "among the waves"],
            (Place::Sky, _) => {
                &["in the blue sky", "in a cloudy sky", "among the clouds", "high up in the sky"]
            }
            (Place::Snow, Habitat::Air) => &["over the snow", "above a snowy field", "in the winter sky"],
            (Place::Snow, _) => {
                &["in the snow", "on the white snow", "in a snowy field", "on the snowy ground"]
            }
            (Place::Street, Habitat::Air) => {
                &["over the road", "above a gray street", "in the sky over the street"]
            }
            (Place::Street, _) => &["on the road", "on a gray street", "in the street", "on an empty road"],
            (Place::Table, _) => &["on a table", "on a wooden table", "on the brown table"],
        }
    }

    /// The place as a thing that one sees.
    pub(super) fn views(self) -> &'static [&'static str] {
        match self {
            Place::Beach => &["a sandy beach", "a beach by the sea", "a quiet beach"],
            Place::Field => &["a green field", "a grassy meadow", "a field of grass"],
            Place::Night => &["a dark hill at night", "a night scene", "a dark night"],
            Place::Room => &["a striped wall", "a room", "an empty room"],
            Place::Sea => &["the blue sea", "a calm sea", "the open water"],
            Place::Sky => &["a cloudy sky", "a bright blue sky", "the open sky"],
            Place::Snow => &["a snowy field", "a winter landscape", "a field covered in snow"],
            Place::Street => &["a gray road", "an empty street", "a city street"],
            Place::Table => &["a wooden table", "a brown table", "an old table"],
        }
    }
}
