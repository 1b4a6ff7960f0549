//! A value per metric.

use std::collections::BTreeMap;
use std::ops::Index;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::metric::Metric;

/// A value for each metric that was computed: the scores of a corpus or of one image, or what is said of each score,
/// such as its interval. As JSON a map from key to value, without the metrics that were not computed.
///
/// ```
/// use metrics::{Metric, Scores};
///
/// let scores = Scores::from_iter([(Metric::Bleu4, 0.25), (Metric::CiderD, 0.5)]);
/// assert_eq!(scores[Metric::Bleu4], 0.25);
/// assert_eq!(scores.get(Metric::Meteor), None);
/// assert_eq!(serde_json::to_string(&scores).unwrap(), r#"{"bleu_4":0.25,"cider_d":0.5}"#);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scores<T = f64>([Option<T>; Metric::COUNT]);

impl<T: Copy> Scores<T> {
    /// The value of a metric; `None` when it was not computed.
    #[must_use]
    pub fn get(&self, metric: Metric) -> Option<T> {
        self.0[metric as usize]
    }

    /// The computed metrics with their values, in the order of [`Metric::ALL`].
    pub fn iter(&self) -> impl Iterator<Item = (Metric, T)> {
        Metric::ALL.iter().zip(self.0).filter_map(|(metric, value)| Some((*metric, value?)))
    }

    /// The computed metrics, in the order of [`Metric::ALL`].
    pub fn metrics(&self) -> impl Iterator<Item = Metric> {
        self.iter().map(|(metric, _)| metric)
    }
}

impl<T> Default for Scores<T> {
    fn default() -> Self {
        Scores([const { None }; Metric::COUNT])
    }
}

/// The value of a metric that was computed.
///
/// # Panics
/// When it was not; [`Scores::get`] asks first.
impl<T> Index<Metric> for Scores<T> {
    type Output = T;

    fn index(&self, metric: Metric) -> &T {
        match &self.0[metric as usize] {
            Some(value) => value,
            None => panic!("{metric} was not computed"),
        }
    }
}

impl<T> FromIterator<(Metric, T)> for Scores<T> {
    fn from_iter<I: IntoIterator<Item = (Metric, T)>>(values: I) -> Self {
        let mut scores = Scores::default();
        for (metric, value) in values {
            scores.0[metric as usize] = Some(value);
        }
        scores
    }
}

impl<T: Serialize + Copy> Serialize for Scores<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Scores<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(BTreeMap::deserialize(deserializer)?.into_iter().collect())
    }
}
