//! Help about settings, read off their documented structs: the keys, the defaults, the nearest name.

use serde_json::Value;
use toml::Table;

use crate::section::Section;

/// Where a schema has the settings of a struct.
const PROPERTIES: &str = "properties";
/// Where it has what the values of a map are.
const ANY_PROPERTY: &str = "additionalProperties";

/// The candidate most like `name`, if one is alike at all.
pub(crate) fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<String> {
    let scored = candidates.map(|candidate| (strsim::jaro_winkler(name, candidate), candidate));
    let best = scored.max_by(|a, b| a.0.total_cmp(&b.0))?;
    (best.0 > 0.7).then(|| best.1.to_owned())
}

/// The setting nearest to the dotted path `key`, among its siblings.
pub(crate) fn nearest_setting<T: Section>(key: &str) -> Option<String> {
    let schema = schema::<T>();
    let (parents, last) = key.rsplit_once('.').unwrap_or(("", key));
    let mut at = &schema;
    for parent in parents.split('.').filter(|parent| !parent.is_empty()) {
        at = resolve(&schema, property(at, parent)?);
    }
    nearest(last, at.get(PROPERTIES)?.as_object()?.keys().map(String::as_str))
}

/// The first key of `table`, as a dotted path, that `T` does not have.
pub(crate) fn unknown_key<T: Section>(table: &Table) -> Option<String> {
    let schema = schema::<T>();
    unknown_in(&schema, &schema, table)
}

fn unknown_in(root: &Value, schema: &Value, table: &Table) -> Option<String> {
    if ![PROPERTIES, ANY_PROPERTY].iter().any(|keys| schema.get(keys).is_some()) {
        return None;
    }
    table.iter().find_map(|(key, value)| {
        let Some(property) = property(schema, key) else { return Some(key.clone()) };
        let below = unknown_in(root, resolve(root, property), value.as_table()?)?;
        Some(format!("{key}.{below}"))
    })
}

/// One line per setting: `key = default`, then what it means.
pub(crate) fn describe<T: Section>(section: &str) -> String {
    let defaults = serde_json::to_value(T::default()).unwrap_or_default();
    let schema = schema::<T>();
    let mut lines = vec![format!("Settings of [{section}] with their defaults:")];
    describe_table("", &schema, &schema, &defaults, &mut lines);
    lines.join("\n")
}

fn describe_table(prefix: &str, root: &Value, table: &Value, defaults: &Value, lines: &mut Vec<String>) {
    let Some(properties) = table.get(PROPERTIES).and_then(Value::as_object) else { return };
    for (key, property) in properties {
        let default = defaults.get(key).unwrap_or(&Value::Null);
        let path = format!("{prefix}{key}");
        let resolved = resolve(root, property);
        if resolved.get(PROPERTIES).is_some() {
            describe_table(&format!("{path}."), root, resolved, default, lines);
            continue;
        }
        let value = if default.is_null() { "(none)".to_owned() } else { default.to_string() };
        lines.push(format!("  {path} = {value}"));
        // What a list holds is described at its items.
        let items = property.get("items").map(|items| resolve(root, items));
        let further = [Some(resolved), items].into_iter().flatten().filter(|further| *further != property);
        for source in std::iter::once(property).chain(further) {
            for line in description(source) {
                lines.push(format!("      {line}"));
            }
        }
    }
}

/// The doc comment of a setting, then its choices when it is an enum.
fn description(property: &Value) -> Vec<String> {
    let text = |value: &Value| value.get("description").and_then(Value::as_str).map(str::to_owned);
    let own = text(property).unwrap_or_default().replace('\n', " ");
    let choices = property.get("oneOf").and_then(Value::as_array).into_iter().flatten();
    let choices = choices
        .filter_map(|choice| Some(format!("{}: {}", choice.get("const")?, text(choice)?.replace('\n', " "))));
    std::iter::once(own).filter(|line| !line.is_empty()).chain(choices).collect()
}

fn schema<T: Section>() -> Value {
    schemars::schema_for!(T).to_value()
}

/// What may stand at `key`: a setting of a struct, or any value of a map.
fn property<'a>(schema: &'a Value, key: &str) -> Option<&'a Value> {
    let named = schema.get(PROPERTIES).and_then(|properties| properties.get(key));
    named.or_else(|| schema.get(ANY_PROPERTY).filter(|any| any.is_object()))
}

/// Follows `$ref`, also where it stands inside `anyOf` (an optional setting).
fn resolve<'a>(root: &'a Value, property: &'a Value) -> &'a Value {
    let reference = property.get("$ref").and_then(Value::as_str);
    let target = reference.and_then(|path| root.pointer(path.trim_start_matches('#')));
    target.unwrap_or(property)
}
