//! What the table of decoders makes of its rows: the names, the settings, the checkpoint's config, the networks.

use super::Dimensions;
use super::description::Description;
use crate::problem::{Problem, within};

/// What a decoder's file tells the table, by its config: sizes whose defaults are those of the settings.
///
/// Whole numbers in it are the sizes of the network; shares and weights shape its training alone, and may be others when
/// one goes on from what another has learnt.
pub(super) trait Architecture: Default {
    /// The first of its keys with a value that makes no sense.
    fn problem(&self) -> Option<Problem>;

    /// The network.
    fn describe(&self, dimensions: Dimensions) -> Description;

    /// A network that the tests of all decoders can train in a moment.
    fn small() -> Self;
}

/// Fails for a size that no layer has.
pub(super) fn size(key: &str, value: i64) -> Option<Problem> {
    within(1..=65_536, key, value)
}

/// One row per decoder: what `--help` says of it, its module and name, its variant, its config.
macro_rules! decoders {
    ($($(#[doc = $about:literal])+ $name:ident: $Kind:ident($Config:ident),)+) => {
        $(pub use $name::$Config;)+

        /// The architectures that can be trained.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum DecoderKind {
            $($(#[doc = $about])+ $Kind,)+
        }

        impl DecoderKind {
            /// Every architecture.
            pub const ALL: &[DecoderKind] = &[$(DecoderKind::$Kind,)+];

            /// The name used in folders and in the config.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(DecoderKind::$Kind => stringify!($name),)+
                }
            }
        }

        /// Sizes of every decoder: the settings from which [`DecoderConfigs::get`] takes those of one.
        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
        #[serde(default)]
        pub struct DecoderConfigs {
            $(#[doc = concat!("Sizes of the `", stringify!($name), "` decoder.")] pub $name: $Config,)+
        }

        impl DecoderConfigs {
            /// The architecture of one kind, with its sizes.
            pub fn get(&self, kind: DecoderKind) -> DecoderConfig {
                match kind {
                    $(DecoderKind::$Kind => DecoderConfig::$Kind(self.$name.clone()),)+
                }
            }

            /// The first value that makes no sense, whether its decoder is trained or not.
            pub fn problem(&self) -> Option<Problem> {
                DecoderKind::ALL.iter().find_map(|&kind| Some(self.get(kind).problem()?.within(kind.as_str())))
            }
        }

        /// A decoder's architecture, as a checkpoint remembers it.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "kind", rename_all = "snake_case")]
        pub enum DecoderConfig {
            $($(#[doc = $about])+ $Kind($Config),)+
        }

        impl DecoderConfig {
            /// Which architecture it is.
            pub fn kind(&self) -> DecoderKind {
                match self {
                    $(DecoderConfig::$Kind(_) => DecoderKind::$Kind,)+
                }
            }

            /// The first size that makes no sense.
            pub fn problem(&self) -> Option<Problem> {
                match self {
                    $(DecoderConfig::$Kind(config) => config.problem(),)+
                }
            }

            /// The first size in which it differs from `other` of the same kind: its key, its value here and there.
            pub fn differing_size(&self, other: &DecoderConfig) -> Option<(String, i64, i64)> {
                let sizes = |config: &DecoderConfig| serde_json::to_value(config).unwrap_or_default();
                let (here, there) = (sizes(self), sizes(other));
                here.as_object()?.iter().find_map(|(key, size)| {
                    let (here, there) = (size.as_i64()?, there.get(key)?.as_i64()?);
                    (here != there).then(|| (key.clone(), here, there))
                })
            }

            /// The network as data; its sizes make sense ([`problem`](Self::problem)).
            pub fn describe(&self, dimensions: Dimensions) -> Description {
                match self {
                    $(DecoderConfig::$Kind(config) => config.describe(dimensions),)+
                }
            }

            /// One network of every architecture, so small that tests of engines can train it in a moment.
            pub fn every_small() -> Vec<DecoderConfig> {
                vec![$(DecoderConfig::$Kind(Architecture::small()),)+]
            }
        }
    };
}
pub(super) use decoders;
