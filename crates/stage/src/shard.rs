//! Which share of a stage's parts this process makes: what a setting says, or what launched the process.

use std::fmt;

/// Every `count`-th part, from number `index` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// From 0 to `count` − 1.
    pub index: usize,
    /// How many processes share the work; 1 is a whole run.
    pub count: usize,
}

/// Why there is no shard.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShardError {
    /// The setting is no share.
    #[error("expected i/n with i from 0 to n − 1, for example 0/4, not {0:?}")]
    Setting(String),
    /// A variable is no number.
    #[error("{0} of the environment is {1:?}, which is no number")]
    NoNumber(&'static str, String),
    /// A launcher has numbered the process, and said nothing of how many there are.
    #[error(
        "{number} of the environment makes this process one of several: set {count} to how many there are"
    )]
    NoCount {
        /// The variable that is set.
        number: &'static str,
        /// The one that is not.
        count: &'static str,
    },
    /// The environment counts fewer processes than it numbers.
    #[error(
        "{0} of the environment give number {1} of {2} processes: numbers run from 0 to one less than the count"
    )]
    Beyond(&'static str, usize, usize),
    /// The tasks of an array that are no series; each would have to know which of the others there are.
    #[error(
        "the array's tasks are no even series (SLURM_ARRAY_TASK_MIN, _MAX, _STEP and _COUNT): submit all of it again, \
         parts that are complete take no time"
    )]
    Uneven,
}

impl Shard {
    /// All the work.
    pub const WHOLE: Shard = Shard { index: 0, count: 1 };

    /// The shard that a setting names (`"i/n"`), or else the environment.
    ///
    /// # Errors
    /// Those of [`named`](Self::named) and [`launched`](Self::launched).
    pub fn choose(setting: &str) -> Result<Shard, ShardError> {
        if !setting.is_empty() {
            return Shard::named(setting);
        }
        Ok(Shard::from_environment()?.map_or(Shard::WHOLE, |launched| launched.shard))
    }

    /// The shard that a launcher has made of this process.
    ///
    /// # Errors
    /// Those of [`launched`](Self::launched).
    pub fn from_environment() -> Result<Option<Launched>, ShardError> {
        Shard::launched(|name| std::env::var(name).ok())
    }

    /// The shard that `i/n` names.
    ///
    /// # Errors
    /// Another text, or an `i` that is not below `n`.
    pub fn named(text: &str) -> Result<Shard, ShardError> {
        let numbers = text.split_once('/').and_then(|(index, count)| {
            Some(Shard { index: index.trim().parse().ok()?, count: count.trim().parse().ok()? })
        });
        numbers.filter(|shard| shard.index < shard.count).ok_or_else(|| ShardError::Setting(text.to_owned()))
    }

    /// The shard that a launcher has made of this process by variables of the environment, which `get` looks up. The first
    /// of these that are set count:
    ///
    /// 1. `RANK` of `WORLD_SIZE`: torchrun, or whoever sets them.
    /// 2. `JOB_COMPLETION_INDEX` of `WORLD_SIZE`: an Indexed Job of Kubernetes, whose manifest has to set the second.
    /// 3. A task of a Slurm array (`SLURM_ARRAY_TASK_ID`), and within it, or alone, a process of Open MPI's
    ///    (`OMPI_COMM_WORLD_RANK` of `OMPI_COMM_WORLD_SIZE`) or else of `srun` (`SLURM_PROCID` of `SLURM_NTASKS`). mpirun is
    ///    started by srun or in its place, so its numbers are the closer ones.
    ///
    /// `None` is a process that nobody has numbered, or the only one.
    ///
    /// # Errors
    /// A number without its count, what is no number, a number that is not below its count, and an array of tasks that are
    /// no even series.
    pub fn launched(get: impl Fn(&str) -> Option<String>) -> Result<Option<Launched>, ShardError> {
        let variables = Variables { get };
        let rank = match variables.share("RANK", "WORLD_SIZE", "RANK and WORLD_SIZE")? {
            None => variables.share(
                "JOB_COMPLETION_INDEX",
                "WORLD_SIZE",
                "JOB_COMPLETION_INDEX and WORLD_SIZE",
            )?,
            rank => rank,
        };
        let launched = match rank {
            Some(rank) => Some(rank),
            None => match (variables.array()?, variables.process()?) {
                (Some(array), Some(process)) => Some(array.times(process)),
                (array, process) => array.or(process),
            },
        };
        Ok(launched.filter(|launched| launched.shard.count > 1))
    }

    /// Whether part number `part` is of this shard.
    pub fn has(self, part: usize) -> bool {
        part % self.count == self.index
    }
}

/// A shard that the environment made of this process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launched {
    /// Which one.
    pub shard: Shard,
    /// The variables that said so.
    by: String,
}

impl Launched {
    /// Every process of `inner` within every task of this.
    fn times(self, inner: Launched) -> Launched {
        if inner.shard.count == 1 || self.shard.count == 1 {
            return if inner.shard.count == 1 { self } else { inner };
        }
        let shard = Shard {
            index: self.shard.index * inner.shard.count + inner.shard.index,
            count: self.shard.count * inner.shard.count,
        };
        Launched { shard, by: format!("{}, and in each {}", self.by, inner.by) }
    }
}

impl fmt::Display for Launched {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Launched { shard: Shard { index, count }, by } = self;
        write!(f, "shard {index}/{count}, by {by} of the environment")
    }
}

/// The environment.
struct Variables<G> {
    get: G,
}

impl<G: Fn(&str) -> Option<String>> Variables<G> {
    fn number(&self, name: &'static str) -> Result<Option<usize>, ShardError> {
        let Some(text) = (self.get)(name).filter(|text| !text.is_empty()) else { return Ok(None) };
        text.trim().parse().map(Some).map_err(|_| ShardError::NoNumber(name, text))
    }

    /// The share of a process that `number` numbers among `count`.
    fn share(
        &self,
        number: &'static str,
        count: &'static str,
        both: &'static str,
    ) -> Result<Option<Launched>, ShardError> {
        let Some(index) = self.number(number)? else { return Ok(None) };
        let count = self.number(count)?.ok_or(ShardError::NoCount { number, count })?;
        launched(index, count, both).map(Some)
    }

    /// The share of a task in an array of Slurm's: tasks may be numbered from anywhere, in steps.
    fn array(&self) -> Result<Option<Launched>, ShardError> {
        const ID: &str = "SLURM_ARRAY_TASK_ID";
        let Some(id) = self.number(ID)? else { return Ok(None) };
        let lack = |count| ShardError::NoCount { number: ID, count };
        let count = self.number("SLURM_ARRAY_TASK_COUNT")?.ok_or(lack("SLURM_ARRAY_TASK_COUNT"))?;
        let least = self.number("SLURM_ARRAY_TASK_MIN")?.ok_or(lack("SLURM_ARRAY_TASK_MIN"))?;
        let step = self.number("SLURM_ARRAY_TASK_STEP")?.unwrap_or(1).max(1);
        let place = |id: usize| id.checked_sub(least).filter(|past| past % step == 0).map(|past| past / step);
        let most = self.number("SLURM_ARRAY_TASK_MAX")?.unwrap_or(id);
        let index = place(id).filter(|&index| index < count).ok_or(ShardError::Uneven)?;
        // A list with gaps: its last task shows it to all of them.
        if place(most).is_none_or(|last| last >= count) {
            return Err(ShardError::Uneven);
        }
        launched(index, count, ID).map(Some)
    }

    /// The share of a process that mpirun or srun started.
    fn process(&self) -> Result<Option<Launched>, ShardError> {
        let both = "OMPI_COMM_WORLD_RANK and OMPI_COMM_WORLD_SIZE";
        if let Some(process) = self.share("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", both)? {
            return Ok(Some(process));
        }
        // A batch script has number 0 too, and a count where one was asked for.
        if self.number("SLURM_PROCID")? == Some(0) && self.number("SLURM_NTASKS")?.is_none() {
            return Ok(None);
        }
        self.share("SLURM_PROCID", "SLURM_NTASKS", "SLURM_PROCID and SLURM_NTASKS")
    }
}

fn launched(index: usize, count: usize, by: &'static str) -> Result<Launched, ShardError> {
    if index >= count {
        return Err(ShardError::Beyond(by, index, count));
    }
    Ok(Launched { shard: Shard { index, count }, by: by.to_owned() })
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    /// What the environment makes of a process: `NAME=value …`.
    fn launched(environment: &str) -> Result<Option<Shard>, ShardError> {
        Ok(with(environment)?.map(|launched| launched.shard))
    }

    fn with(environment: &str) -> Result<Option<Launched>, ShardError> {
        let variables: HashMap<&str, &str> =
            environment.split_whitespace().map(|pair| pair.split_once('=').unwrap()).collect();
        Shard::launched(|name| variables.get(name).map(|&value| value.to_owned()))
    }

    fn shard(index: usize, count: usize) -> Result<Option<Shard>, ShardError> {
        Ok(Some(Shard { index, count }))
    }

    /// A task of the array `first`, `first + step`, …
    fn task(number: usize, first: usize, step: usize, count: usize) -> String {
        let (id, last) = (first + number * step, first + (count - 1) * step);
        format!(
            "SLURM_ARRAY_TASK_ID={id} SLURM_ARRAY_TASK_MIN={first} SLURM_ARRAY_TASK_MAX={last} \
             SLURM_ARRAY_TASK_STEP={step} SLURM_ARRAY_TASK_COUNT={count} "
        )
    }

    #[test]
    fn shards_are_numbered_from_zero() {
        assert_eq!(Shard::named("3/4"), Ok(Shard { index: 3, count: 4 }));
        for wrong in ["4/4", "-1/4", "0/0", "3", "a/b", ""] {
            assert!(Shard::named(wrong).unwrap_err().to_string().contains("from 0 to n − 1"), "{wrong}");
        }
        let owners = |part| (0..3).filter(|&index| Shard { index, count: 3 }.has(part)).count();
        assert!((0..10).all(|part| owners(part) == 1));
    }

    #[test]
    fn every_launcher_numbers_its_processes() {
        for (environment, expected) in [
            ("RANK=1 WORLD_SIZE=4", shard(1, 4)),
            ("JOB_COMPLETION_INDEX=2 WORLD_SIZE=3", shard(2, 3)),
            ("SLURM_PROCID=5 SLURM_NTASKS=8", shard(5, 8)),
            ("OMPI_COMM_WORLD_RANK=0 OMPI_COMM_WORLD_SIZE=2", shard(0, 2)),
        ] {
            assert_eq!(launched(environment), expected, "{environment}");
        }
        for number in 0..4 {
            for (first, step) in [(0, 1), (1, 1), (10, 5)] {
                assert_eq!(launched(&task(number, first, step, 4)), shard(number, 4), "{first}, {step}");
            }
        }
    }

    #[test]
    fn one_process_alone_makes_everything() {
        for environment in [
            "",
            "WORLD_SIZE=4",
            "RANK= WORLD_SIZE=",
            "RANK=0 WORLD_SIZE=1",
            "JOB_COMPLETION_INDEX=0 WORLD_SIZE=1",
            // A batch script, and one of a single task.
            "SLURM_PROCID=0",
            "SLURM_PROCID=0 SLURM_NTASKS=1",
            &task(0, 7, 1, 1),
        ] {
            assert_eq!(launched(environment), Ok(None), "{environment}");
        }
    }

    #[test]
    fn processes_within_the_tasks_of_an_array_multiply() {
        let mut met = Vec::new();
        for number in 0..3 {
            for process in 0..2 {
                let within = [
                    format!("SLURM_PROCID={process} SLURM_NTASKS=2"),
                    // mpirun's own numbers stand below srun's, which started it once.
                    format!(
                        "SLURM_PROCID=0 SLURM_NTASKS=1 OMPI_COMM_WORLD_RANK={process} OMPI_COMM_WORLD_SIZE=2"
                    ),
                ];
                let [srun, mpirun] = within.map(|process| launched(&(task(number, 1, 1, 3) + &process)));
                assert_eq!(srun, mpirun);
                met.push(srun.unwrap().unwrap());
            }
        }
        assert_eq!(met, (0..6).map(|index| Shard { index, count: 6 }).collect::<Vec<_>>());
        let one = task(1, 0, 1, 3) + "SLURM_PROCID=0 SLURM_NTASKS=1";
        assert_eq!(launched(&one), shard(1, 3));
        let one = task(0, 4, 1, 1) + "SLURM_PROCID=1 SLURM_NTASKS=2";
        assert_eq!(launched(&one), shard(1, 2));
    }

    #[test]
    fn the_first_launcher_in_order_counts_and_says_so() {
        let slurm = task(1, 0, 1, 2) + "SLURM_PROCID=3 SLURM_NTASKS=4";
        let all = format!("{slurm} JOB_COMPLETION_INDEX=5 WORLD_SIZE=9 RANK=7");
        assert_eq!(
            with(&all).unwrap().unwrap().to_string(),
            "shard 7/9, by RANK and WORLD_SIZE of the environment"
        );
        let indexed = format!("{slurm} JOB_COMPLETION_INDEX=5 WORLD_SIZE=9");
        assert_eq!(launched(&indexed), shard(5, 9));
        let told = with(&slurm).unwrap().unwrap().to_string();
        assert_eq!(
            told,
            "shard 7/8, by SLURM_ARRAY_TASK_ID, and in each SLURM_PROCID and SLURM_NTASKS of the environment"
        );
    }

    #[test]
    fn a_number_without_its_count_is_no_whole_run() {
        for (environment, lacks) in [
            ("JOB_COMPLETION_INDEX=2", "set WORLD_SIZE"),
            ("RANK=0", "set WORLD_SIZE"),
            ("SLURM_PROCID=1", "set SLURM_NTASKS"),
            ("SLURM_ARRAY_TASK_ID=1", "set SLURM_ARRAY_TASK_COUNT"),
            ("OMPI_COMM_WORLD_RANK=0", "set OMPI_COMM_WORLD_SIZE"),
            ("RANK=4 WORLD_SIZE=4", "RANK and WORLD_SIZE of the environment give number 4 of 4"),
            ("RANK=x WORLD_SIZE=4", "RANK of the environment is \"x\""),
        ] {
            let message = launched(environment).unwrap_err().to_string();
            assert!(message.contains(lacks), "{environment}: {message}");
        }
    }

    #[test]
    fn an_array_with_gaps_is_refused_by_all_its_tasks() {
        // --array=1,2,7: every task knows the last one.
        for id in [1, 2, 7] {
            let task = format!(
                "SLURM_ARRAY_TASK_ID={id} SLURM_ARRAY_TASK_MIN=1 SLURM_ARRAY_TASK_MAX=7 SLURM_ARRAY_TASK_COUNT=3"
            );
            assert_eq!(launched(&task), Err(ShardError::Uneven));
        }
    }
}
