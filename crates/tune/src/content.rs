//! Words that name what can be seen.

use std::collections::HashSet;

/// Places of the words that are no English stop words ("a", "with", "his").
pub(crate) fn indices(words: &[String]) -> Vec<usize> {
    let stop: HashSet<&str> = stop_words::get(stop_words::Language::English).iter().copied().collect();
    (0..words.len()).filter(|&word| !stop.contains(words[word].as_str())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn things_stay_and_little_words_go() {
        let words = ["a", "dog", "with", "his", "red", "is", "running"].map(str::to_owned);
        assert_eq!(indices(&words), [1, 4, 6]);
    }
}
