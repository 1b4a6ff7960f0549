//! Which share of the parts this process makes.

/// Every `count`-th part, from number `index` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shard {
    pub(crate) index: usize,
    pub(crate) count: usize,
}

impl Shard {
    const WHOLE: Shard = Shard { index: 0, count: 1 };

    /// The shard that a setting names, or else the environment: `RANK` and `WORLD_SIZE`, which torchrun sets and which
    /// are easily set from `SLURM_PROCID` or `JOB_COMPLETION_INDEX`.
    pub(crate) fn choose(setting: &str) -> Result<Shard, String> {
        if !setting.is_empty() {
            return Shard::parse(setting);
        }
        match (std::env::var("RANK"), std::env::var("WORLD_SIZE")) {
            (Ok(rank), Ok(size)) => Shard::parse(&format!("{rank}/{size}")),
            _ => Ok(Shard::WHOLE),
        }
    }

    fn parse(text: &str) -> Result<Shard, String> {
        let numbers = text.split_once('/').and_then(|(index, count)| {
            Some(Shard { index: index.trim().parse().ok()?, count: count.trim().parse().ok()? })
        });
        numbers
            .filter(|shard| shard.index < shard.count)
            .ok_or_else(|| format!("expected i/n with i from 0 to n − 1, for example 0/4, not {text:?}"))
    }

    /// Whether part number `part` is of this shard.
    pub(crate) fn has(self, part: usize) -> bool {
        part % self.count == self.index
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_numbered_from_zero() {
        assert_eq!(Shard::parse("3/4"), Ok(Shard { index: 3, count: 4 }));
        for wrong in ["4/4", "-1/4", "0/0", "3", "a/b", ""] {
            assert!(Shard::parse(wrong).unwrap_err().contains("from 0 to n − 1"), "{wrong}");
        }
        let owners = |part| (0..3).filter(|&index| Shard { index, count: 3 }.has(part)).count();
        assert!((0..10).all(|part| owners(part) == 1));
    }
}
