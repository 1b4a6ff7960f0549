//! What a sidecar says, and what of it may be written.

use roxmltree::Node;

use crate::error::XmpError;
use crate::names::*;
use crate::property::{Place, is_default, parse, places, root};
use crate::text::Encoding;

/// What captions were made from. They are right as long as all of it is the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Hash of the photo's bytes.
    pub photo: String,
    /// Hash of the model's file.
    pub model: String,
    /// The settings that were named, in any form that is equal when they are.
    pub settings: String,
}

/// What a sidecar says of its photo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contents {
    /// `dc:description`, of no language or of the first one.
    pub description: Option<String>,
    /// `Iptc4xmpCore:AltTextAccessibility`, likewise.
    pub alt_text: Option<String>,
    /// `dc:subject`.
    pub keywords: Vec<String>,
    /// What our captions were made from, if there are any.
    pub source: Option<Source>,
    open: Open,
}

/// The fields that may be written without taking anything from a person: nobody has written there, or we have and it is as
/// we left it. One that was ours and is empty now, a person has emptied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Open {
    pub(crate) description: bool,
    pub(crate) alt_text: bool,
    pub(crate) keywords: bool,
}

impl Contents {
    /// Reads a sidecar's bytes.
    ///
    /// # Errors
    ///
    /// What is no XMP packet, or not well-formed.
    pub fn read(bytes: &[u8]) -> Result<Contents, XmpError> {
        let (_, text) = Encoding::decode(bytes)?;
        Contents::of(root(&parse(&text)?)?)
    }

    pub(crate) fn of(root: Node) -> Result<Contents, XmpError> {
        let said = |name| places(root, name).iter().find_map(Place::default_text);
        let ours = |name| places(root, name).first().map(Place::text);
        let source = || {
            let [photo, model, settings] = [ours(OUR_PHOTO)?, ours(OUR_MODEL)?, ours(OUR_SETTINGS)?];
            Some(Source { photo, model, settings })
        };
        Ok(Contents {
            description: said(DESCRIPTION),
            alt_text: said(ALT_TEXT),
            keywords: places(root, SUBJECT).iter().flat_map(Place::texts).collect(),
            source: source(),
            open: Open::of(root),
        })
    }

    /// Whether a caption, or keywords where they are wanted, would find a place that no person has taken.
    pub fn has_room(&self, keywords: bool) -> bool {
        self.open.description || self.open.alt_text || keywords && self.open.keywords
    }
}

impl Open {
    pub(crate) fn of(root: Node) -> Open {
        let open = |name: Name, ours: Name, is_as_written: fn(&Place, &str) -> bool| {
            let places = places(root, name);
            match (self::places(root, ours).first().map(Place::text), &places[..]) {
                (None, places) => places.iter().all(Place::is_blank),
                (Some(written), [place]) => is_as_written(place, &written),
                (Some(_), _) => false,
            }
        };
        let said = |place: &Place, written: &str| {
            let items = place.items();
            matches!(items[..], [item] if is_default(&item)) && place.text().trim() == written.trim()
        };
        Open {
            description: open(DESCRIPTION, OUR_DESCRIPTION, said),
            alt_text: open(ALT_TEXT, OUR_ALT_TEXT, said),
            keywords: open(SUBJECT, OUR_KEYWORDS, |place, written| listed(&place.texts()) == written.trim()),
        }
    }
}

/// Keywords as one text.
pub(crate) fn listed(keywords: &[String]) -> String {
    keywords.join(", ")
}
