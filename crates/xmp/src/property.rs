//! The forms that a property has in RDF: an attribute of a description, or an element with a text, a list, or a text in several
//! languages.

use roxmltree::{Attribute, Document, Node};

use crate::error::XmpError;
use crate::names::{ALT, DESCRIPTION_OF, LI, Name, RDF, ROOT, XML};

/// Nodes of the largest tree, some hundred bytes each in memory.
const MAX_NODES: u32 = 1_000_000;

/// The language that stands for all others.
pub(crate) const DEFAULT: &str = "x-default";

/// A text as a tree, which keeps where everything stands in it.
pub(crate) fn parse(text: &str) -> Result<Document<'_>, XmpError> {
    let options = roxmltree::ParsingOptions { nodes_limit: MAX_NODES, ..Default::default() };
    Ok(Document::parse_with_options(text, options)?)
}

/// The element that holds all descriptions.
pub(crate) fn root<'a, 'input>(document: &'a Document<'input>) -> Result<Node<'a, 'input>, XmpError> {
    document.descendants().find(|node| node.has_tag_name(ROOT.expanded())).ok_or(XmpError::NoRdf)
}

/// Groups of properties; a packet may have several, all about the same photo.
pub(crate) fn descriptions<'a, 'input>(root: Node<'a, 'input>) -> impl Iterator<Item = Node<'a, 'input>> {
    root.children().filter(|node| node.has_tag_name(DESCRIPTION_OF.expanded()))
}

/// A property where it is written.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place<'a, 'input> {
    Attribute(Attribute<'a, 'input>),
    Element(Node<'a, 'input>),
}

/// Everywhere that a property is written: once, in files without faults.
pub(crate) fn places<'a, 'input>(root: Node<'a, 'input>, name: Name) -> Vec<Place<'a, 'input>> {
    let of = |description: Node<'a, 'input>| {
        let attribute = description.attribute_node(name.expanded()).map(Place::Attribute);
        let elements = description.children().filter(move |node| node.has_tag_name(name.expanded()));
        attribute.into_iter().chain(elements.map(Place::Element))
    };
    descriptions(root).flat_map(of).collect()
}

impl<'a, 'input> Place<'a, 'input> {
    /// Whether nothing that anyone wrote would be lost with it.
    pub(crate) fn is_blank(&self) -> bool {
        match self {
            Place::Attribute(attribute) => attribute.value().trim().is_empty(),
            Place::Element(element) => element.descendants().all(|node| {
                let said = |attribute: Attribute| {
                    let form = [(XML, "lang"), (RDF, "parseType")]
                        .contains(&(attribute.namespace().unwrap_or_default(), attribute.name()));
                    !form && !attribute.value().trim().is_empty()
                };
                let text = node.text().filter(|_| node.is_text()).unwrap_or_default();
                !node.is_comment() && !node.is_pi() && text.trim().is_empty() && !node.attributes().any(said)
            }),
        }
    }

    /// All of the text in it.
    pub(crate) fn text(&self) -> String {
        match self {
            Place::Attribute(attribute) => attribute.value().to_owned(),
            Place::Element(element) => text(*element),
        }
    }

    /// The items of its list, or of its languages.
    pub(crate) fn items(&self) -> Vec<Node<'a, 'input>> {
        let Place::Element(element) = self else { return vec![] };
        let lists = element.children().filter(Node::is_element);
        lists.flat_map(|list| list.children().filter(|node| node.has_tag_name(LI.expanded()))).collect()
    }

    /// The texts of its items, of which a property without a list has one.
    pub(crate) fn texts(&self) -> Vec<String> {
        let items = self.items();
        let texts = if items.is_empty() { vec![self.text()] } else { items.into_iter().map(text).collect() };
        let texts = texts.into_iter().map(|text| text.trim().to_owned());
        texts.filter(|text| !text.is_empty()).collect()
    }

    /// The list of its languages, if that is what it holds.
    pub(crate) fn languages(&self) -> Option<Node<'a, 'input>> {
        let Place::Element(element) = self else { return None };
        let mut inside = element.children().filter(Node::is_element);
        inside.next().filter(|list| list.has_tag_name(ALT.expanded()) && inside.next().is_none())
    }

    /// What readers show who ask for no language.
    pub(crate) fn default_text(&self) -> Option<String> {
        let items = self.items();
        let said = items.iter().find(|item| is_default(item)).or(items.first());
        Some(said.map_or_else(|| self.text(), |item| text(*item))).filter(|text| !text.trim().is_empty())
    }
}

/// Whether an item is of the language that stands for all others.
pub(crate) fn is_default(item: &Node) -> bool {
    item.attribute((XML, "lang")).is_some_and(|language| language.eq_ignore_ascii_case(DEFAULT))
}

fn text(node: Node) -> String {
    node.descendants().filter(Node::is_text).filter_map(|node| node.text()).collect()
}
