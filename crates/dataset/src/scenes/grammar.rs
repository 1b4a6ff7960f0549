//! Captions: true sentences about a plan, worded in many ways.
//!
//! Each arrangement has its sentence forms; a scene gets five of them, so that no wording is common to all scenes and
//! the words carry what is seen. As people do, a caption leaves out some of what is there.
//!
//! Invariant: a caption says nothing that the plan does not hold. Where colour alone tells two groups apart, every
//! caption names the colour.

use rand::RngExt;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::CAPTIONS;
use super::scene::{Arrangement, Group, Plan, pick};
use super::world::Habitat;

const WORDS: std::ops::RangeInclusive<usize> = 6..=16;

/// Five different captions of 6 to 16 words.
pub(super) fn describe(plan: &Plan, rng: &mut ChaCha8Rng) -> [String; CAPTIONS] {
    let mut captions: Vec<String> = Vec::with_capacity(CAPTIONS);
    let mut forms = Vec::new();
    while captions.len() < CAPTIONS {
        // Every form once before any comes again.
        let form = forms.pop().unwrap_or_else(|| {
            forms = forms_of(plan.arrangement).to_vec();
            forms.shuffle(rng);
            forms.pop().unwrap_or(forms_of(plan.arrangement)[0])
        });
        let caption = form(&mut Speaker { plan, rng });
        if WORDS.contains(&caption.split(' ').count()) && !captions.contains(&caption) {
            captions.push(caption);
        }
    }
    std::array::from_fn(|index| std::mem::take(&mut captions[index]))
}

type Form = fn(&mut Speaker<'_>) -> String;

fn forms_of(arrangement: Arrangement) -> &'static [Form] {
    match arrangement {
        Arrangement::Alone => &ALONE,
        Arrangement::Mixed => &MIXED,
        Arrangement::LeftOf | Arrangement::Beside => &SIDE_BY_SIDE,
        Arrangement::Above | Arrangement::On => &STACKED,
        Arrangement::Between => &BETWEEN,
    }
}

/// Sentences on a scene of one group.
const ALONE: [Form; 9] = [
    |s| format!("{} {} {}", s.thing(0), s.does(0), s.place(0)),
    |s| format!("{} {} {}", s.thing(0), s.doing(0), s.place(0)),
    |s| format!("there {} {} {}", s.is(0), s.thing(0), s.place(0)),
    |s| format!("{} there {} {}", s.place(0), s.is(0), s.thing(0)),
    |s| format!("{} {} {}", s.depiction(), s.thing(0), s.place(0)),
    |s| format!("{} with {} and nothing else", s.view(), s.thing(0)),
    |s| format!("{} {} {}", s.place(0), s.does(0), s.thing(0)),
    |s| format!("the {} {} {} {}", s.name(0), s.place(0), s.is(0), s.qualities(0)),
    |s| format!("{} {} {}", s.witness(), s.thing(0), s.place(0)),
];

/// Two or three groups in no relation worth a word.
const MIXED: [Form; 7] = [
    |s| format!("{} {}", s.list().1, s.place(0)),
    |s| {
        let (first, list) = s.list();
        format!("{} there {} {list}", s.place(0), s.is(first))
    },
    |s| format!("{} with {}", s.view(), s.list().1),
    |s| format!("{} {} {}", s.depiction(), s.list().1, s.place(0)),
    |s| format!("{} together {}", s.list().1, s.place(0)),
    |s| format!("{} {} {}", s.witness(), s.list().1, s.place(0)),
    |s| {
        let total = number(s.plan.items.len());
        let group = s.rng.random_range(0..s.plan.groups.len());
        let [part, is] = match s.plan.groups[group].count {
            1 => ["one", "is"],
            count => [number(count), "are"],
        };
        format!("{total} things {} and {part} of them {is} {}", s.place(0), s.bare(group))
    },
];

/// Group 0 left of group 1.
const SIDE_BY_SIDE: [Form; 9] = [
    |s| {
        let (a, side, b) = s.sides();
        format!("{} {} {side} {}", s.thing(a), s.does(a), s.thing(b))
    },
    |s| {
        let (a, side, b) = s.sides();
        format!("{} {side} {} {}", s.thing(a), s.thing(b), s.place(b))
    },
    |s| {
        let (a, side, b) = s.sides();
        format!("there {} {} {side} {}", s.is(a), s.thing(a), s.thing(b))
    },
    |s| {
        let (a, side, b) = s.sides();
        format!("{} {} {} {side} {}", s.place(a), s.does(a), s.thing(a), s.thing(b))
    },
    |s| {
        let (a, side, b) = s.sides();
        format!("the {} {} {side} {}", s.known(a), s.is(a), s.thing(b))
    },
    |s| {
        let (a, side, b) = s.sides();
        format!("{} with {} {side} {}", s.view(), s.thing(a), s.thing(b))
    },
    |s| {
        let (a, b) = s.either(0, 1);
        let side = if a == 0 { "left" } else { "right" };
        format!("{} {} with {} on {} {side}", s.thing(b), s.place(b), s.thing(a), s.their(b))
    },
    |s| format!("{} on the left and {} on the right", s.thing(0), s.thing(1)),
    |s| {
        let (a, b) = s.either(0, 1);
        format!("{} and {} {} {}", s.thing(a), s.thing(b), s.doing(b), s.place(a))
    },
];

/// Group 0 above group 1 or on it.
const STACKED: [Form; 9] = [
    |s| format!("{} {} {} {}", s.thing(0), s.does(0), s.over(), s.thing(1)),
    |s| format!("{} {} {} {}", s.thing(0), s.over(), s.thing(1), s.place(1)),
    |s| format!("there is {} {} {}", s.thing(0), s.over(), s.thing(1)),
    |s| format!("{} {} with {} {} it", s.thing(1), s.place(1), s.thing(0), s.over()),
    |s| format!("{} there is {} {} {}", s.place(1), s.thing(0), s.over(), s.thing(1)),
    |s| format!("{} with {} {} {}", s.view(), s.thing(0), s.over(), s.thing(1)),
    |s| format!("{} under {} {}", s.thing(1), s.thing(0), s.place(1)),
    |s| format!("the {} is {} {}", s.known(0), s.over(), s.thing(1)),
    |s| format!("{} {} {} and {} it {} {}", s.thing(1), s.does(1), s.place(1), s.over(), s.is(0), s.thing(0)),
];

/// Group 0 between the others.
const BETWEEN: [Form; 8] = [
    |s| format!("{} {} between {}", s.thing(0), s.does(0), s.flanks()),
    |s| format!("{} between {} {}", s.thing(0), s.flanks(), s.place(0)),
    |s| format!("there is {} between {}", s.thing(0), s.flanks()),
    |s| format!("{} with {} between them", s.flanks(), s.thing(0)),
    |s| format!("{} {} and {} in the middle", s.flanks(), s.place(1), s.thing(0)),
    |s| format!("{} with {} between {}", s.view(), s.thing(0), s.flanks()),
    |s| format!("the {} is between {}", s.known(0), s.flanks()),
    |s| format!("{} {} {} between {}", s.place(0), s.does(0), s.thing(0), s.flanks()),
];

/// Words for the parts of a plan; groups are given by their number.
struct Speaker<'a> {
    plan: &'a Plan,
    rng: &'a mut ChaCha8Rng,
}

impl Speaker<'_> {
    fn group(&self, group: usize) -> &Group {
        &self.plan.groups[group]
    }

    fn one_of(&mut self, words: &[&'static str]) -> &'static str {
        pick(self.rng, words)
    }

    fn either(&mut self, a: usize, b: usize) -> (usize, usize) {
        if self.rng.random_bool(0.5) { (a, b) } else { (b, a) }
    }

    /// The noun in its number: `ball`, `balls`.
    fn noun(&self, group: usize) -> String {
        let group = self.group(group);
        if group.count == 1 { group.kind.noun().to_owned() } else { group.kind.plural() }
    }

    /// Whether another group has the same noun, so that the colour must be named.
    fn has_twin(&self, group: usize) -> bool {
        let kind = self.group(group).kind;
        self.plan.groups.iter().filter(|other| other.kind == kind).count() > 1
    }

    /// `red ball`, `small ball`, `ball`: what people mention varies.
    fn described(&mut self, group: usize) -> String {
        let mut words = Vec::new();
        let sizes = self.group(group).size.words();
        if !sizes.is_empty() && self.rng.random_bool(0.55) {
            words.push(self.one_of(sizes).to_owned());
        }
        if self.has_twin(group) || self.rng.random_bool(0.85) {
            words.push(self.group(group).color.name().to_owned());
        }
        words.push(self.noun(group));
        words.join(" ")
    }

    /// With its article or number: `a red ball`, `two small trees`.
    fn thing(&mut self, group: usize) -> String {
        let words = self.described(group);
        match self.group(group).count {
            1 => with_article(&words),
            count => format!("{} {words}", number(count)),
        }
    }

    /// As a part of a counted set: `a red ball`, `red balls`.
    fn bare(&mut self, group: usize) -> String {
        let words = self.described(group);
        if self.group(group).count == 1 { with_article(&words) } else { words }
    }

    /// After `the`, number and noun only: `ball`, `two balls`.
    fn name(&self, group: usize) -> String {
        match self.group(group).count {
            1 => self.noun(group),
            count => format!("{} {}", number(count), self.noun(group)),
        }
    }

    /// After `the`, told from its twin: `red ball`, `two balls`.
    fn known(&mut self, group: usize) -> String {
        let words = self.described(group);
        match self.group(group).count {
            1 => words,
            count => format!("{} {words}", number(count)),
        }
    }

    /// After `is`: `red`, `small and red`.
    fn qualities(&mut self, group: usize) -> String {
        let color = self.group(group).color.name();
        let sizes = self.group(group).size.words();
        if !sizes.is_empty() && self.rng.random_bool(0.6) {
            format!("{} and {color}", self.one_of(sizes))
        } else {
            color.to_owned()
        }
    }

    fn is(&self, group: usize) -> &'static str {
        if self.group(group).count == 1 { "is" } else { "are" }
    }

    fn their(&self, group: usize) -> &'static str {
        if self.group(group).count == 1 { "its" } else { "their" }
    }

    /// What it does, as a plural verb.
    fn verb(&mut self, group: usize) -> &'static str {
        if self.plan.arrangement == Arrangement::On && group == 0 {
            return self.one_of(&["sit", "rest", "stand"]);
        }
        let verbs = self.group(group).kind.verbs(self.plan.place);
        self.one_of(verbs)
    }

    fn does(&mut self, group: usize) -> String {
        let verb = self.verb(group);
        match self.group(group).count {
            1 if verb.ends_with('y') => format!("{}ies", verb.trim_end_matches('y')),
            1 => format!("{verb}s"),
            _ => verb.to_owned(),
        }
    }

    fn doing(&mut self, group: usize) -> String {
        match self.verb(group) {
            "lie" => "lying".to_owned(),
            verb @ ("sit" | "swim") => format!("{verb}{}ing", &verb[verb.len() - 1..]),
            verb => format!("{}ing", verb.trim_end_matches('e')),
        }
    }

    /// Where a group is: `on the grass`.
    fn place(&mut self, group: usize) -> &'static str {
        let place = self.plan.place;
        let habitat = if self.plan.arrangement == Arrangement::On {
            Habitat::Ground
        } else {
            place.habitat(self.group(group).kind)
        };
        self.one_of(place.phrases(habitat))
    }

    /// The place itself: `a green field`.
    fn view(&mut self) -> &'static str {
        self.one_of(self.plan.place.views())
    }

    fn depiction(&mut self) -> &'static str {
        self.one_of(&["a picture of", "a drawing of", "a view of", "an image of", "this picture shows"])
    }

    fn witness(&mut self) -> &'static str {
        self.one_of(&["we can see", "you can see", "somebody has painted", "here we see"])
    }

    /// All groups in any order, `two red balls, a cup and a star`, and which comes first.
    fn list(&mut self) -> (usize, String) {
        let mut order: Vec<usize> = (0..self.plan.groups.len()).collect();
        order.shuffle(self.rng);
        let things: Vec<String> = order.iter().map(|&group| self.thing(group)).collect();
        let (last, before) = (&things[things.len() - 1], &things[..things.len() - 1]);
        (order[0], format!("{} and {last}", before.join(", ")))
    }

    /// Two groups and how the first is beside the second.
    fn sides(&mut self) -> (usize, &'static str, usize) {
        let near = self.plan.arrangement == Arrangement::Beside && self.rng.random_bool(0.75);
        let (a, b) = self.either(0, 1);
        let words: &[&str] = match (near, a) {
            (true, _) => &["next to", "beside", "close to", "near"],
            (false, 0) => &["to the left of", "left of", "on the left side of"],
            (false, _) => &["to the right of", "right of", "on the right side of"],
        };
        (a, self.one_of(words), b)
    }

    /// How group 0 is over group 1.
    fn over(&mut self) -> &'static str {
        match self.plan.arrangement {
            Arrangement::On => self.one_of(&["on", "on top of"]),
            _ => self.one_of(&["above", "over"]),
        }
    }

    /// What is on both sides of group 0: `two trees`, `a tree and a red house`.
    fn flanks(&mut self) -> String {
        if self.plan.groups.len() == 2 {
            return self.thing(1);
        }
        let (a, b) = self.either(1, 2);
        format!("{} and {}", self.thing(a), self.thing(b))
    }
}

fn number(count: usize) -> &'static str {
    match count {
        1 => "one",
        2 => "two",
        3 => "three",
        _ => "four",
    }
}

/// `words` after `a` or `an`; all our words that start with a vowel sound start with its letter.
fn with_article(words: &str) -> String {
    let article = if words.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    format!("{article} {words}")
}
