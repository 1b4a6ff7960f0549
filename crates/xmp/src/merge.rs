//! Captions into a sidecar that other programs write, too.

use roxmltree::Node;

use crate::contents::{Contents, Open, Source, listed};
use crate::edit::Edits;
use crate::error::XmpError;
use crate::layout::{Layout, Line};
use crate::names::*;
use crate::property::{DEFAULT, Place, descriptions, is_default, parse, places, root};
use crate::text::{Encoding, clean, escape, escape_value};

/// A packet that says nothing yet, laid out as exiftool does.
const EMPTY: &str = concat!(
    "<?xpacket begin='\u{feff}' id='W5M0MpCehiHzreSzNTczkc9d'?>\n",
    "<x:xmpmeta xmlns:x='adobe:ns:meta/' x:xmptk='caption ",
    env!("CARGO_PKG_VERSION"),
    "'>\n",
    "<rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'>\n",
    "</rdf:RDF>\n",
    "</x:xmpmeta>\n",
    "<?xpacket end='w'?>\n",
);

/// What is to be said of a photo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// The description and the alternative text. Characters that XML forbids are replaced by U+FFFD.
    pub caption: String,
    /// None leave those alone that are there.
    pub keywords: Vec<String>,
    /// What they were made from.
    pub source: Source,
}

/// The bytes of a sidecar with a caption: of `old`, in its encoding and with everything else as it is there, or of a new one.
///
/// Fields that a person has written or emptied stay, unless they are to be `overwritten`: then the text for no language is
/// replaced, those of other languages stay, and keywords give way to ours. If no field can be written, all bytes are those of `old`.
///
/// # Errors
///
/// What is no XMP packet, not well-formed, or cannot be edited safely.
pub fn merged(old: Option<&[u8]>, said: &Said, overwrite: bool) -> Result<Vec<u8>, XmpError> {
    let (encoding, text) = match old {
        Some(bytes) => Encoding::decode(bytes)?,
        None => (Encoding::UTF_8, EMPTY.into()),
    };
    let document = parse(&text)?;
    let root = root(&document)?;
    let caption = clean(&said.caption);
    let keywords = said.keywords.iter().map(|word| clean(word).trim().to_owned());
    let keywords: Vec<String> = keywords.filter(|word| !word.is_empty()).collect();
    let mut open = match overwrite {
        true => Open { description: true, alt_text: true, keywords: true },
        false => Open::of(root),
    };
    open.keywords &= !keywords.is_empty();
    if !(open.description || open.alt_text || open.keywords) {
        return Ok(old.unwrap_or_default().to_vec());
    }
    let mut merge =
        Merge { text: &text, root, edits: Edits::default(), attributes: vec![], elements: vec![] };
    let source = &said.source;
    for (name, value) in
        [(OUR_PHOTO, &source.photo), (OUR_MODEL, &source.model), (OUR_SETTINGS, &source.settings)]
    {
        merge.simple(name, &clean(value));
    }
    if open.description {
        merge.simple(OUR_DESCRIPTION, &caption);
        merge.languages(DESCRIPTION, &caption);
    }
    if open.alt_text {
        merge.simple(OUR_ALT_TEXT, &caption);
        merge.languages(ALT_TEXT, &caption);
    }
    if open.keywords {
        merge.simple(OUR_KEYWORDS, &listed(&keywords));
        merge.list(SUBJECT, &keywords);
    }
    let new = merge.finish();
    prove(&new, &caption, &keywords, open)?;
    Ok(encoding.encode(&new))
}

/// Reads what was written, before it takes the place of what was there.
fn prove(text: &str, caption: &str, keywords: &[String], open: Open) -> Result<(), XmpError> {
    let document = parse(text)?;
    let contents = Contents::of(root(&document)?)?;
    let is = |said: &Option<String>| said.as_deref().unwrap_or_default().trim() == caption.trim();
    match open {
        Open { description: true, .. } if !is(&contents.description) => Err(XmpError::Odd("dc:description")),
        Open { alt_text: true, .. } if !is(&contents.alt_text) => Err(XmpError::Odd("the alternative text")),
        Open { keywords: true, .. } if !contents.keywords.starts_with(keywords) => {
            Err(XmpError::Odd("dc:subject"))
        }
        _ => Ok(()),
    }
}

/// Edits in the making, and what goes into a group of properties of our own because it has no place yet.
struct Merge<'t, 'a, 'input> {
    text: &'t str,
    root: Node<'a, 'input>,
    edits: Edits,
    attributes: Vec<(Name, String)>,
    elements: Vec<(Name, Vec<Line>)>,
}

impl<'a, 'input> Merge<'_, 'a, 'input> {
    /// A property that is one text.
    fn simple(&mut self, name: Name, value: &str) {
        let places = places(self.root, name);
        for place in &places {
            match place {
                Place::Attribute(attribute) => {
                    let written = &self.text[attribute.range()];
                    let end = written.find(|c: char| c == '=' || c.is_ascii_whitespace()).unwrap_or(0);
                    let new = format!("{}='{}'", &written[..end], escape_value(value));
                    self.edits.replace(attribute.range(), new);
                }
                Place::Element(element) => {
                    let tag = name.tag();
                    self.put(*element, &[name], &[(0, format!("<{tag}>{}</{tag}>", escape(value)))]);
                }
            }
        }
        if places.is_empty() {
            self.attributes.push((name, escape_value(value)));
        }
    }

    /// A property that is a text in several languages, of which we write that for all others.
    fn languages(&mut self, name: Name, text: &str) {
        let item = format!("<rdf:li xml:lang='{DEFAULT}'>{}</rdf:li>", escape(text));
        let whole = nested(name, "rdf:Alt", std::slice::from_ref(&item));
        for place in self.elements_of(name, &whole) {
            let Some(list) = place.languages().filter(|list| list.has_children()) else {
                self.put_place(place, name, &whole);
                continue;
            };
            match place.items().into_iter().find(is_default) {
                Some(old) => self.put(old, &[LI], &[(0, item.clone())]),
                None => {
                    let start = list.first_child().map_or(list.range().end, |child| child.range().start);
                    self.edits.replace(start..start, declaring(&item, &self.undeclared(list, &[LI])));
                }
            }
        }
    }

    /// A property that is a list without an order.
    fn list(&mut self, name: Name, texts: &[String]) {
        let items: Vec<String> =
            texts.iter().map(|text| format!("<rdf:li>{}</rdf:li>", escape(text))).collect();
        let whole = nested(name, "rdf:Bag", &items);
        for place in self.elements_of(name, &whole) {
            self.put_place(place, name, &whole);
        }
    }

    /// The elements of a property that no attribute can be; without any, `whole` will be one.
    fn elements_of(&mut self, name: Name, whole: &[Line]) -> Vec<Place<'a, 'input>> {
        let mut elements = vec![];
        for place in places(self.root, name) {
            match place {
                Place::Element(_) => elements.push(place),
                Place::Attribute(attribute) => {
                    // With the space before it.
                    let start = self.text[..attribute.range().start].trim_end().len();
                    self.edits.replace(start..attribute.range().end, String::new());
                }
            }
        }
        if elements.is_empty() {
            self.elements.push((name, whole.to_vec()));
        }
        elements
    }

    fn put_place(&mut self, place: Place, name: Name, new: &[Line]) {
        if let Place::Element(element) = place {
            self.put(element, &[name, LI], new);
        }
    }

    /// Puts markup, in which these names occur, into the place of an element.
    fn put(&mut self, old: Node, names: &[Name], new: &[Line]) {
        let undeclared = old.parent().map_or(vec![], |parent| self.undeclared(parent, names));
        let new = Layout::at(self.text, old.range().start).lines(new);
        self.edits.replace(old.range(), declaring(new.trim(), &undeclared));
    }

    /// Declarations of the prefixes that mean something else, or nothing, inside of an element.
    fn undeclared(&self, inside: Node, names: &[Name]) -> Vec<String> {
        let mut declarations = vec![];
        for name in names {
            let known = inside.lookup_namespace_uri(Some(name.prefix)) == Some(name.namespace);
            let declaration = format!(" xmlns:{}='{}'", name.prefix, name.namespace);
            if !known && !declarations.contains(&declaration) {
                declarations.push(declaration);
            }
        }
        declarations
    }

    /// All edits, and what has no place yet in a group of its own, the last one.
    fn finish(mut self) -> String {
        if self.attributes.is_empty() && self.elements.is_empty() {
            return self.edits.apply(self.text);
        }
        let group = self.group();
        let whole = self.root.range();
        let inside = &self.text[..whole.end];
        if let Some(open) = inside.strip_suffix("/>") {
            let name =
                open[whole.start + 1..].split(|c: char| c.is_ascii_whitespace()).next().unwrap_or_default();
            let group = Layout::IN_A_LINE.lines(&group);
            self.edits.replace(open.len()..whole.end, format!(">{group}</{name}>"));
        } else {
            let close = inside.rfind("</").unwrap_or(whole.end);
            let layout = Layout::at(self.text, close);
            let start = close - layout.indent.len();
            let beside = descriptions(self.root).last().map(|node| Layout::at(self.text, node.range().start));
            let indent =
                beside.map_or_else(|| format!("{} ", layout.indent), |beside| beside.indent.to_owned());
            self.edits.replace(start..start, layout.indented(&indent).lines(&group));
        }
        self.edits.apply(self.text)
    }

    /// A group of properties, about what the others are about.
    fn group(&self) -> Vec<Line> {
        let about = descriptions(self.root)
            .find_map(|node| node.attribute(ABOUT.expanded()).or_else(|| node.attribute(ABOUT.local)));
        let about = escape_value(about.unwrap_or_default());
        let elements = self.elements.iter().map(|(name, _)| *name);
        let names: Vec<Name> = [ABOUT]
            .into_iter()
            .chain(elements)
            .chain(self.attributes.iter().map(|(name, _)| *name))
            .collect();
        let mut lines = vec![(0, format!("<{} {}='{about}'", DESCRIPTION_OF.tag(), ABOUT.tag()))];
        lines.extend(self.undeclared(self.root, &names).into_iter().map(|declaration| (2, declaration)));
        let attributes = self.attributes.iter();
        lines.extend(attributes.map(|(name, value)| (2, format!(" {}='{value}'", name.tag()))));
        let end = if self.elements.is_empty() { "/>" } else { ">" };
        if let Some((_, last)) = lines.last_mut() {
            last.push_str(end);
        }
        for (depth, line) in self.elements.iter().flat_map(|(_, lines)| lines) {
            lines.push((depth + 1, line.clone()));
        }
        if !self.elements.is_empty() {
            lines.push((0, format!("</{}>", DESCRIPTION_OF.tag())));
        }
        lines
    }
}

/// A property that is a list of items.
fn nested(name: Name, list: &str, items: &[String]) -> Vec<Line> {
    let mut lines = vec![(0, format!("<{}>", name.tag())), (1, format!("<{list}>"))];
    lines.extend(items.iter().map(|item| (2, item.clone())));
    lines.extend([(1, format!("</{list}>")), (0, format!("</{}>", name.tag()))]);
    lines
}

/// An element with declarations in its first tag.
fn declaring(element: &str, declarations: &[String]) -> String {
    let end = element.find([' ', '>', '/']).unwrap_or(element.len());
    let (name, rest) = element.split_at(end);
    [name, &declarations.concat(), rest].concat()
}
