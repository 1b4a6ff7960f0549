//! Where a launcher has put this process among those of a training.

use std::str::FromStr;

/// Why the environment gives no place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlaceError {
    /// A variable is no number.
    #[error("{0} of the environment is {1:?}, which is no number that it can be")]
    NoNumber(&'static str, String),
    /// One of two variables that belong together.
    #[error(
        "{set} of the environment makes this process one of several: set {lacks} too, or WORLD_SIZE=1 to train with this \
         process alone"
    )]
    Half {
        /// The variable that is set.
        set: &'static str,
        /// The one that is not.
        lacks: &'static str,
    },
    /// The environment counts fewer processes than it numbers.
    #[error(
        "{0} of the environment give number {1} of {2} processes: numbers run from 0 to one less than the count"
    )]
    Beyond(&'static str, usize, usize),
    /// Nobody says where the processes meet.
    #[error(
        "{by} of the environment make this process one of {processes}: set {lacks} to the same for all of them (the name of \
         the machine of process 0, and a port that is free there), or WORLD_SIZE=1 to train with this process alone"
    )]
    NoMeeting {
        /// The variables that numbered the process.
        by: &'static str,
        /// How many they count.
        processes: usize,
        /// The variable that is not set.
        lacks: &'static str,
    },
}

/// One of the processes of a training.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// From 0 to `processes` − 1.
    pub rank: usize,
    /// At least 2.
    pub processes: usize,
    /// Which of the processes on its machine: the number of its GPU. 0 where nobody says.
    pub local_rank: usize,
    /// Where it meets the others.
    pub meeting: Meeting,
}

/// Where the processes of a training find each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meeting {
    /// A name or an address.
    pub host: String,
    /// A port of `host`.
    pub port: u16,
    /// Under torchrun, whose agent listens there itself, how often it has started the processes again; otherwise process 0
    /// listens.
    pub restart: Option<u16>,
}

impl Place {
    /// The place that a launcher has given this process.
    ///
    /// # Errors
    /// Those of [`launched`](Self::launched).
    pub fn from_environment() -> Result<Option<Place>, PlaceError> {
        Place::launched(|name| std::env::var(name).ok())
    }

    /// The place that variables of the environment give, which `get` looks up:
    ///
    /// 1. `RANK` of `WORLD_SIZE`, and `LOCAL_RANK`: torchrun, or whoever sets them.
    /// 2. `SLURM_PROCID` of `SLURM_NTASKS`, and `SLURM_LOCALID`: `srun`.
    ///
    /// Either way the processes meet at `MASTER_ADDR` and `MASTER_PORT`, which torchrun sets. `None` is a process that
    /// nobody has numbered, or the only one.
    ///
    /// # Errors
    /// A number without its count and the other way round, what is no number, a number that is not below its count, and
    /// several processes without a place to meet.
    pub fn launched(get: impl Fn(&str) -> Option<String>) -> Result<Option<Place>, PlaceError> {
        let variables = Variables { get };
        let world = variables.number("WORLD_SIZE")?;
        let (by, rank, processes, local_rank) = if world.is_some() || variables.text("RANK").is_some() {
            let half = |set, lacks| PlaceError::Half { set, lacks };
            let processes = world.ok_or(half("RANK", "WORLD_SIZE"))?;
            let rank = match variables.number("RANK")? {
                None if processes == 1 => 0,
                rank => rank.ok_or(half("WORLD_SIZE", "RANK"))?,
            };
            ("RANK and WORLD_SIZE", rank, processes, variables.number("LOCAL_RANK")?)
        } else {
            // A shell within an allocation has the count alone, and a batch script of one task number 0 alone.
            let Some(rank) = variables.number("SLURM_PROCID")? else { return Ok(None) };
            let processes = match variables.number("SLURM_NTASKS")? {
                None if rank == 0 => 1,
                count => count.ok_or(PlaceError::Half { set: "SLURM_PROCID", lacks: "SLURM_NTASKS" })?,
            };
            ("SLURM_PROCID and SLURM_NTASKS", rank, processes, variables.number("SLURM_LOCALID")?)
        };
        if rank >= processes {
            return Err(PlaceError::Beyond(by, rank, processes));
        }
        if processes == 1 {
            return Ok(None);
        }
        let lack = |lacks| PlaceError::NoMeeting { by, processes, lacks };
        let agent = variables.text("TORCHELASTIC_USE_AGENT_STORE").is_some_and(|text| text == "True");
        let restarts = variables.number("TORCHELASTIC_RESTART_COUNT")?.unwrap_or(0);
        let meeting = Meeting {
            host: variables.text("MASTER_ADDR").ok_or(lack("MASTER_ADDR"))?,
            port: variables.number("MASTER_PORT")?.ok_or(lack("MASTER_PORT"))?,
            restart: agent.then_some(restarts),
        };
        Ok(Some(Place { rank, processes, local_rank: local_rank.unwrap_or(0), meeting }))
    }
}

/// The environment, where an empty variable is none.
struct Variables<G> {
    get: G,
}

impl<G: Fn(&str) -> Option<String>> Variables<G> {
    fn text(&self, name: &str) -> Option<String> {
        (self.get)(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
    }

    fn number<N: FromStr>(&self, name: &'static str) -> Result<Option<N>, PlaceError> {
        let Some(text) = self.text(name) else { return Ok(None) };
        text.parse().map(Some).map_err(|_| PlaceError::NoNumber(name, text))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    const MEETING: &str = " MASTER_ADDR=node0 MASTER_PORT=29500";

    /// What the environment makes of a process: `NAME=value …`.
    fn launched(environment: &str) -> Result<Option<Place>, PlaceError> {
        let variables: HashMap<&str, &str> =
            environment.split_whitespace().map(|pair| pair.split_once('=').unwrap()).collect();
        Place::launched(|name| variables.get(name).map(|&value| value.to_owned()))
    }

    fn place(rank: usize, processes: usize, local_rank: usize, restart: Option<u16>) -> Place {
        let meeting = Meeting { host: "node0".to_owned(), port: 29500, restart };
        Place { rank, processes, local_rank, meeting }
    }

    #[test]
    fn every_launcher_places_its_processes() {
        let torchrun = "RANK=3 WORLD_SIZE=4 LOCAL_RANK=1 TORCHELASTIC_USE_AGENT_STORE=True";
        for (environment, expected) in [
            ("RANK=1 WORLD_SIZE=2", place(1, 2, 0, None)),
            ("RANK=3 WORLD_SIZE=4 LOCAL_RANK=1", place(3, 4, 1, None)),
            ("RANK=0 WORLD_SIZE=2 TORCHELASTIC_USE_AGENT_STORE=False", place(0, 2, 0, None)),
            (torchrun, place(3, 4, 1, Some(0))),
            (&format!("{torchrun} TORCHELASTIC_RESTART_COUNT=2"), place(3, 4, 1, Some(2))),
            ("SLURM_PROCID=5 SLURM_NTASKS=8 SLURM_LOCALID=2", place(5, 8, 2, None)),
            // torchrun within a task of srun's.
            ("SLURM_PROCID=0 SLURM_NTASKS=2 RANK=3 WORLD_SIZE=4", place(3, 4, 0, None)),
        ] {
            assert_eq!(launched(&(environment.to_owned() + MEETING)), Ok(Some(expected)), "{environment}");
        }
    }

    #[test]
    fn one_process_alone_has_no_group() {
        for environment in [
            "",
            "RANK= WORLD_SIZE=",
            "RANK=0 WORLD_SIZE=1",
            "WORLD_SIZE=1 SLURM_PROCID=1 SLURM_NTASKS=4",
            // A shell within an allocation, a batch script, and one of a single task.
            "SLURM_NTASKS=4",
            "SLURM_PROCID=0",
            "SLURM_PROCID=0 SLURM_NTASKS=1",
        ] {
            assert_eq!(launched(environment), Ok(None), "{environment}");
        }
    }

    #[test]
    fn what_is_incomplete_or_wrong_is_named_with_what_to_do() {
        for (environment, told) in [
            ("RANK=0", "set WORLD_SIZE too"),
            ("WORLD_SIZE=4", "set RANK too, or WORLD_SIZE=1"),
            ("SLURM_PROCID=1", "set SLURM_NTASKS too"),
            ("RANK=4 WORLD_SIZE=4", "RANK and WORLD_SIZE of the environment give number 4 of 4"),
            ("RANK=0 WORLD_SIZE=0", "give number 0 of 0"),
            ("RANK=x WORLD_SIZE=4", "RANK of the environment is \"x\""),
            ("RANK=0 WORLD_SIZE=2", "one of 2: set MASTER_ADDR"),
            ("RANK=0 WORLD_SIZE=2 MASTER_ADDR=node0", "one of 2: set MASTER_PORT"),
            ("SLURM_PROCID=0 SLURM_NTASKS=2", "SLURM_PROCID and SLURM_NTASKS of the environment make"),
            ("RANK=0 WORLD_SIZE=2 MASTER_ADDR=node0 MASTER_PORT=70000", "MASTER_PORT of the environment"),
        ] {
            let message = launched(environment).unwrap_err().to_string();
            assert!(message.contains(told), "{environment}: {message}");
        }
    }
}
