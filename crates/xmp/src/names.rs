//! The names of what is read and written.

/// A property, or an element of RDF: the namespace, the prefix by which people know it, and the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Name {
    pub(crate) namespace: &'static str,
    pub(crate) prefix: &'static str,
    pub(crate) local: &'static str,
}

impl Name {
    /// As [`roxmltree`] compares names.
    pub(crate) fn expanded(self) -> (&'static str, &'static str) {
        (self.namespace, self.local)
    }

    /// As it is written where its prefix is declared.
    pub(crate) fn tag(self) -> String {
        format!("{}:{}", self.prefix, self.local)
    }
}

pub(crate) const RDF: &str = "http://www.w3.org/1999/02/22-rdf-syntax-ns#";
pub(crate) const XML: &str = "http://www.w3.org/XML/1998/namespace";
/// What we say of our own captions.
const OURS: &str = "urn:x-captioning:sidecar/1.0/";

pub(crate) const ROOT: Name = rdf("RDF");
pub(crate) const DESCRIPTION_OF: Name = rdf("Description");
pub(crate) const ABOUT: Name = rdf("about");
pub(crate) const ALT: Name = rdf("Alt");
pub(crate) const LI: Name = rdf("li");

pub(crate) const DESCRIPTION: Name = dc("description");
pub(crate) const SUBJECT: Name = dc("subject");
pub(crate) const ALT_TEXT: Name = Name {
    namespace: "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/",
    prefix: "Iptc4xmpCore",
    local: "AltTextAccessibility",
};

/// Hash of the photo, hash of the model, and the settings, that captions were made from.
pub(crate) const OUR_PHOTO: Name = ours("Photo");
pub(crate) const OUR_MODEL: Name = ours("Model");
pub(crate) const OUR_SETTINGS: Name = ours("Settings");
/// What we wrote into the properties of the same names: if they hold something else, a person wrote it.
pub(crate) const OUR_DESCRIPTION: Name = ours("Description");
pub(crate) const OUR_ALT_TEXT: Name = ours("AltText");
pub(crate) const OUR_KEYWORDS: Name = ours("Keywords");

const fn rdf(local: &'static str) -> Name {
    Name { namespace: RDF, prefix: "rdf", local }
}

const fn dc(local: &'static str) -> Name {
    Name { namespace: "http://purl.org/dc/elements/1.1/", prefix: "dc", local }
}

const fn ours(local: &'static str) -> Name {
    Name { namespace: OURS, prefix: "captioning", local }
}
