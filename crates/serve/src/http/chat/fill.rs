//! JSON after a schema (<https://json-schema.org>), filled with what is known of a photo: its caption and its keywords.
//!
//! Nothing is made up. A text that is asked for under another name is empty, a list of other things too; a number, a truth
//! or a choice that no caption tells is left out, or is the schema's default, or `null` where that is allowed. Where it
//! must be there, the request is refused: no answer is better than a wrong one.

use caption::Keyword;
use serde_json::{Map, Value, json};

/// Parts of names that ask for the caption.
const CAPTION: [&str; 18] = [
    "alt", "answer", "caption", "content", "desc", "headline", "label", "message", "name", "output", "reply",
    "response", "result", "sentence", "summary", "text", "title", "value",
];
/// Parts of names that ask for keywords.
const KEYWORDS: [&str; 6] = ["keyword", "labels", "object", "subject", "tag", "things"];
/// Parts of names that ask how sure a keyword is.
const PROBABILITY: [&str; 4] = ["confidence", "probability", "score", "topicality"];
/// Parts of a schema that are looked at: it may name itself, and offer ways without end.
const MOST_LOOKS: usize = 10_000;
/// Levels of an answer.
const DEEPEST: usize = 32;

/// What the schema asks for.
///
/// # Errors
///
/// What it demands and a caption does not tell, in a sentence.
pub(super) fn fill(schema: &Value, caption: &str, keywords: &[Keyword]) -> Result<Value, String> {
    let mut filler = Filler { root: schema, caption, keywords, probability: None, looks: 0 };
    let place = Place { path: String::new(), name: "caption".to_owned(), deep: 0 };
    filler.value(schema, &place)
}

struct Filler<'a> {
    root: &'a Value,
    caption: &'a str,
    keywords: &'a [Keyword],
    /// Of the keyword that is filled in.
    probability: Option<f64>,
    looks: usize,
}

/// Where in the answer a value stands.
struct Place {
    path: String,
    /// Of the property, in lower case.
    name: String,
    deep: usize,
}

impl Place {
    fn below(&self, name: &str) -> Place {
        let path = if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) };
        Place { path, name: name.to_lowercase(), deep: self.deep + 1 }
    }

    fn asks_for(&self, names: &[&str]) -> bool {
        names.iter().any(|name| self.name.contains(name))
    }

    fn unknown(&self, what: &str) -> String {
        let at = if self.path.is_empty() { String::new() } else { format!(" ({})", self.path) };
        format!("the format demands {what}{at}, which a caption does not tell")
    }
}

impl Filler<'_> {
    fn value(&mut self, schema: &Value, place: &Place) -> Result<Value, String> {
        self.looks += 1;
        if place.deep > DEEPEST || self.looks > MOST_LOOKS {
            return Err("the format's schema goes on without end".to_owned());
        }
        if let Some(pointer) = schema.get("$ref").and_then(Value::as_str) {
            let target = pointer.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer));
            let target = target.ok_or_else(|| format!("the format's schema has no {pointer:?}"))?;
            let deeper = Place { path: place.path.clone(), name: place.name.clone(), deep: place.deep + 1 };
            return self.value(target, &deeper);
        }
        if let Some(only) = schema.get("const") {
            return Ok(only.clone());
        }
        if let Some(choices) = schema.get("enum").and_then(Value::as_array) {
            return self.choice(choices).or_else(|| default(schema)).ok_or_else(|| place.unknown("a choice"));
        }
        for several in ["anyOf", "oneOf", "allOf"] {
            if let Some(ways) = schema.get(several).and_then(Value::as_array) {
                return self.first(ways.iter().cloned(), place);
            }
        }
        match schema.get("type") {
            Some(Value::Array(kinds)) => {
                let of_kind = |kind: &Value| {
                    let mut one = schema.clone();
                    one["type"] = kind.clone();
                    one
                };
                self.first(kinds.iter().map(of_kind), place)
            }
            Some(Value::String(kind)) => self.kind(kind, schema, place),
            _ if schema.get("properties").is_some() => self.kind("object", schema, place),
            _ if schema.get("items").is_some() => self.kind("array", schema, place),
            _ => self.kind("string", schema, place),
        }
    }

    /// The first way that can be gone, `null` after all others.
    fn first(&mut self, ways: impl Iterator<Item = Value>, place: &Place) -> Result<Value, String> {
        let (mut null, mut refused) = (None, None);
        for way in ways {
            match self.value(&way, place) {
                Ok(Value::Null) => null = Some(Value::Null),
                Ok(value) => return Ok(value),
                Err(reason) => refused = refused.or(Some(reason)),
            }
        }
        null.ok_or_else(|| refused.unwrap_or_else(|| place.unknown("a value")))
    }

    fn kind(&mut self, kind: &str, schema: &Value, place: &Place) -> Result<Value, String> {
        match kind {
            "string" => Ok(self.text(schema, place).into()),
            "array" => self.list(schema, place),
            "object" => self.object(schema, place),
            "null" => Ok(Value::Null),
            "boolean" => default(schema).ok_or_else(|| place.unknown("true or false")),
            "number" if place.asks_for(&PROBABILITY) && self.probability.is_some() => {
                Ok(json!(self.probability))
            }
            _ => default(schema).ok_or_else(|| place.unknown("a number")),
        }
    }

    fn text(&self, schema: &Value, place: &Place) -> String {
        let text = if place.asks_for(&CAPTION) {
            self.caption.to_owned()
        } else if place.asks_for(&KEYWORDS) {
            let words: Vec<&str> = self.keywords.iter().map(|keyword| keyword.word.as_str()).collect();
            words.join(", ")
        } else {
            default(schema).and_then(|text| text.as_str().map(str::to_owned)).unwrap_or_default()
        };
        let most = schema.get("maxLength").and_then(Value::as_u64).unwrap_or(u64::MAX);
        shortened(text, usize::try_from(most).unwrap_or(usize::MAX))
    }

    fn list(&mut self, schema: &Value, place: &Place) -> Result<Value, String> {
        let wanted = place.path.is_empty() || place.asks_for(&KEYWORDS);
        let keywords = if wanted { self.keywords } else { &[] };
        let bound = |name: &str| schema.get(name).and_then(Value::as_u64);
        let most = bound("maxItems").map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX));
        let mut all = Vec::new();
        for keyword in keywords.iter().take(most) {
            let Some(item) = schema.get("items") else {
                all.push(json!(keyword.word));
                continue;
            };
            // A keyword is all there is to say of its own item.
            let mut inner = Filler {
                root: self.root,
                caption: &keyword.word,
                keywords: std::slice::from_ref(keyword),
                probability: Some(keyword.probability),
                looks: self.looks,
            };
            let item = inner.value(item, &Place { name: "value".to_owned(), ..place.below("items") });
            self.looks = inner.looks;
            match item {
                Ok(item) => all.push(item),
                // What no keyword fills is left out, as long as the list may be empty.
                Err(_) => break,
            }
        }
        match bound("minItems") {
            Some(least) if least > all.len() as u64 => Err(place.unknown(&format!("{least} items"))),
            _ => Ok(all.into()),
        }
    }

    fn object(&mut self, schema: &Value, place: &Place) -> Result<Value, String> {
        let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
            return Ok(match place.path.is_empty() {
                true => json!({ "caption": self.caption }),
                false => json!({}),
            });
        };
        let required = schema.get("required").and_then(Value::as_array);
        let required =
            |name: &str| required.is_some_and(|all| all.iter().any(|one| one.as_str() == Some(name)));
        let is_text = |schema: &Value| schema.get("type").is_some_and(|kind| kind == "string");
        let mut texts = properties.iter().filter(|(_, schema)| is_text(schema));
        // The only text that is asked for is the caption, whatever it is called.
        let only_text = texts.next().filter(|_| texts.next().is_none()).map(|(name, _)| name);
        let mut object = Map::new();
        for (name, schema) in properties {
            let mut below = place.below(name);
            let asks = below.asks_for(&CAPTION) || below.asks_for(&KEYWORDS);
            if only_text == Some(name) && !asks {
                "caption".clone_into(&mut below.name);
            }
            match self.value(schema, &below) {
                Ok(value) => drop(object.insert(name.clone(), value)),
                Err(reason) if required(name) => return Err(reason),
                Err(_) => {}
            }
        }
        Ok(object.into())
    }

    /// The one of some texts that the caption or the keywords hold.
    fn choice(&self, choices: &[Value]) -> Option<Value> {
        let said: Vec<String> = self.caption.split_whitespace().map(str::to_lowercase).collect();
        let holds = |choice: &&Value| {
            let choice = choice.as_str().map(str::to_lowercase);
            choice.is_some_and(|choice| {
                said.contains(&choice) || self.keywords.iter().any(|keyword| keyword.word == choice)
            })
        };
        choices.iter().find(holds).or_else(|| choices.iter().find(|choice| choice.is_null())).cloned()
    }
}

fn default(schema: &Value) -> Option<Value> {
    schema.get("default").cloned()
}

/// At most so many letters, and whole words where there are some.
fn shortened(text: String, most: usize) -> String {
    let Some((end, _)) = text.char_indices().nth(most) else { return text };
    let cut = &text[..end];
    let whole =
        if text[end..].starts_with(' ') { cut } else { cut.rsplit_once(' ').map_or(cut, |cut| cut.0) };
    whole.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(schema: Value) -> Result<Value, String> {
        let keyword = |(word, probability): (&str, f64)| Keyword { word: word.to_owned(), probability };
        let keywords = [("dog", 0.75), ("grass", 0.5), ("run", 0.25)].map(keyword);
        fill(&schema, "a dog runs through the grass", &keywords)
    }

    const CAPTION: &str = "a dog runs through the grass";

    #[test]
    fn what_a_caption_tells_is_filled_in() {
        let text = json!({ "type": "string" });
        let texts = json!({ "type": "array", "items": text });
        for (schema, wanted) in [
            (text.clone(), json!(CAPTION)),
            (texts.clone(), json!(["dog", "grass", "run"])),
            (json!({ "type": "object" }), json!({ "caption": CAPTION })),
            // As a Lightroom plugin asks.
            (
                json!({ "type": "object", "required": ["keywords", "title", "caption", "alt_text"], "properties": {
                    "keywords": texts, "title": text, "caption": text, "alt_text": text } }),
                json!({ "keywords": ["dog", "grass", "run"], "title": CAPTION, "caption": CAPTION, "alt_text": CAPTION }),
            ),
            (
                json!({ "properties": { "keywords": { "properties": { "Places": texts } }, "Title": text } }),
                json!({ "keywords": { "Places": [] }, "Title": CAPTION }),
            ),
            // The only text has any name; others are not made up.
            (json!({ "properties": { "mood": text } }), json!({ "mood": CAPTION })),
            (
                json!({ "properties": { "mood": text, "caption": text }, "required": ["mood"] }),
                json!({ "mood": "", "caption": CAPTION }),
            ),
            (
                json!({ "properties": { "caption": { "type": "string", "maxLength": 8 } } }),
                json!({ "caption": "a dog" }),
            ),
            (
                json!({ "properties": { "tags": { "type": "array", "maxItems": 1, "items": {
                    "properties": { "tag": text, "score": { "type": "number" } } } } } }),
                json!({ "tags": [{ "tag": "dog", "score": 0.75 }] }),
            ),
            // As PhotoPrism asks for labels.
            (
                json!({ "properties": { "labels": { "type": "array", "maxItems": 1, "items": { "type": "object", "properties": {
                    "name": { "type": "string", "minLength": 1 }, "confidence": { "type": "number" }, "topicality": { "type": "number" } },
                    "required": ["name", "confidence", "topicality"] } } }, "required": ["labels"] }),
                json!({ "labels": [{ "name": "dog", "confidence": 0.75, "topicality": 0.75 }] }),
            ),
            (
                json!({ "properties": { "objects": { "type": "array", "items": {
                    "properties": { "count": { "type": "integer" } }, "required": ["count"] } } } }),
                json!({ "objects": [] }),
            ),
            (json!({ "properties": { "animal": { "enum": ["cat", "Dog"] } } }), json!({ "animal": "Dog" })),
            (
                json!({ "properties": { "people": { "type": "integer" }, "nsfw": { "type": "boolean", "default": false },
                    "place": { "type": ["integer", "null"] } }, "required": ["nsfw", "place"] }),
                json!({ "nsfw": false, "place": null }),
            ),
            (
                json!({ "$defs": { "S": text }, "properties": { "caption": { "anyOf": [{ "$ref": "#/$defs/S" }, { "type": "null" }] } } }),
                json!({ "caption": CAPTION }),
            ),
        ] {
            assert_eq!(filled(schema.clone()), Ok(wanted), "{schema}");
        }
    }

    #[test]
    fn what_it_does_not_tell_is_said() {
        for (schema, complaint) in [
            (
                json!({ "properties": { "open": { "type": "boolean" } }, "required": ["open"] }),
                "the format demands true or false (open)",
            ),
            (
                json!({ "properties": { "a": { "properties": { "b": { "type": "number" } }, "required": ["b"] } }, "required": ["a"] }),
                "a number (a.b)",
            ),
            (json!({ "enum": ["cat"] }), "a choice, which"),
            (json!({ "type": "array", "minItems": 9 }), "9 items"),
            (json!({ "$ref": "#/nowhere" }), "has no \"#/nowhere\""),
            (json!({ "$ref": "#" }), "without end"),
            (json!({ "anyOf": [{ "$ref": "#" }, { "$ref": "#" }] }), "without end"),
        ] {
            let error = filled(schema).unwrap_err();
            assert!(error.contains(complaint), "{error}");
        }
    }
}
