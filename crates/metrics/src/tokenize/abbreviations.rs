//! Words that keep their full stop.

/// Titles and other abbreviations that are followed by more of the sentence.
pub(super) const INNER: &str = "adj|adm|adv|alex|asst|atty|attys|ave|brig|capt|cf|cie|cmdr|col|comdr|cpl|dept|det|dr|drs|\
    elec|ens|ft|gen|gov|govs|hon|insp|invt|jos|lieut|lt|maj|messrs|mfg|mlle|mme|mr|mrs|ms|msgr|mt|mtg|natl|pfc|ph|\
    pres|prof|profs|pvt|rep|reps|rev|sen|sens|sfc|sgt|spc|st|ste|supt|supts|treas|vs|wm";

/// Abbreviations that may also end a sentence: before a capital or the end of the text, the stop counts twice.
pub(super) const CLOSING: &str = "al|ala|apr|ariz|assn|assoc|aug|az|bhd|bldg|blvd|bros|calif|co|colo|conn|corp|cos|ct|dak|\
    dec|esq|est|etc|ext|feb|fla|fri|ga|inc|ind|intl|jan|jr|jul|jun|kan|kans|ky|ltd|mar|md|mich|minn|mo|mon|mont|neb|\
    nev|nov|oct|okla|penn|ph\\.d|plc|ppte|pptes|ppty|pptys|pte|ptes|pty|ptys|rd|rt|sep|sept|seq|sq|sr|sys|tel|tenn|\
    thu|thurs|tue|tues|univ|va|vt|wed|wis|wisc|wyo";

/// As [`CLOSING`], but words of the language when they begin with a small letter (`Miss.`, `Ore.`).
pub(super) const CLOSING_CAPITALISED: &str =
    "A(?i:rk)|D(?i:el)|I(?i:ll)|L(?i:a)|M(?i:ass|iss)|O(?i:re)|P(?i:a)|T(?i:ex)|W(?i:ash)";

/// Abbreviations only before a number (`No. 5`).
pub(super) const NUMBERED: &str = "art|ca|fig|figs|no|nos|op|pp|prop";
