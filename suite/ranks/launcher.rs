//! Which launcher started this process, and among how many, by the environment variables that
//! launchers set.

use std::env;

/// What started this process together with others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Launcher {
    pub kind: Kind,
    /// Processes that it started.
    pub size: usize,
    /// The variable that says so.
    pub variable: &'static str,
    /// Which of them this process is, from 0.
    pub rank: Option<usize>,
}

/// Launchers that differ in what they offer to the processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Open MPI's `mpirun`.
    OpenMpi,
    /// `mpiexec` of MPICH and its kin, or Slurm's `srun --mpi=pmi2`.
    Pmi,
    /// Slurm's `srun --mpi=pmix`.
    SlurmPmix,
    /// Slurm's `srun` without a way to join the processes.
    Slurm,
    /// torchrun, or another that says `WORLD_SIZE` only.
    WorldSize,
}

impl Kind {
    /// What messages call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::OpenMpi => "Open MPI's mpirun",
            Self::Pmi => "a launcher with PMI (mpiexec of MPICH, srun --mpi=pmi2)",
            Self::SlurmPmix => "srun --mpi=pmix",
            Self::Slurm => "srun",
            Self::WorldSize => "a launcher",
        }
    }

    /// Whether processes can join by MPI.
    pub const fn joins(self) -> bool {
        !matches!(self, Self::Slurm | Self::WorldSize)
    }
}

impl Launcher {
    /// The launcher of this process.
    pub fn from_environment() -> Option<Self> {
        Self::from(&|name| env::var(name).ok())
    }

    /// The launcher that the variables in `get` tell of. The innermost comes first: `mpirun` within
    /// a step of Slurm sees Slurm's variables too. A shell or a batch script in a Slurm allocation
    /// is no step of several tasks, whatever `SLURM_NTASKS` says.
    pub fn from(get: &dyn Fn(&str) -> Option<String>) -> Option<Self> {
        let number = |name: &str| get(name)?.trim().parse::<usize>().ok();
        let launcher = |kind, variable, rank| {
            let (size, rank) = (number(variable)?, number(rank));
            Some(Self {
                kind,
                size,
                variable,
                rank,
            })
        };
        let step = || get("SLURM_STEP_ID").or_else(|| get("SLURM_STEPID"));
        launcher(Kind::OpenMpi, "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK")
            .or_else(|| launcher(Kind::Pmi, "PMI_SIZE", "PMI_RANK"))
            .or_else(|| {
                step()?;
                let pmix = get("PMIX_RANK").is_some();
                let kind = if pmix { Kind::SlurmPmix } else { Kind::Slurm };
                launcher(kind, "SLURM_STEP_NUM_TASKS", "SLURM_PROCID")
            })
            .or_else(|| launcher(Kind::WorldSize, "WORLD_SIZE", "RANK"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(variables: &[(&str, &str)]) -> Option<(Kind, usize)> {
        let get = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        Launcher::from(&get).map(|launcher| (launcher.kind, launcher.size))
    }

    #[test]
    fn the_innermost_launcher_counts() {
        let slurm = [
            ("SLURM_STEP_ID", "0"),
            ("SLURM_STEP_NUM_TASKS", "2"),
            ("SLURM_NTASKS", "16"),
        ];
        assert_eq!(from(&slurm), Some((Kind::Slurm, 2)));
        assert_eq!(
            from(&[&slurm[..], &[("PMIX_RANK", "0")]].concat()),
            Some((Kind::SlurmPmix, 2))
        );
        assert_eq!(from(&[&slurm[..], &[("PMI_SIZE", "2")]].concat()), Some((Kind::Pmi, 2)));
        let both = [&slurm[..], &[("OMPI_COMM_WORLD_SIZE", "4"), ("PMIX_RANK", "3")]].concat();
        assert_eq!(from(&both), Some((Kind::OpenMpi, 4)));
        assert_eq!(from(&[("WORLD_SIZE", "8"), ("RANK", "0")]), Some((Kind::WorldSize, 8)));
        let get = |name: &str| match name {
            "PMI_SIZE" => Some("4".to_owned()),
            "PMI_RANK" => Some("3".to_owned()),
            _ => None,
        };
        assert_eq!(Launcher::from(&get).and_then(|launcher| launcher.rank), Some(3));
    }

    #[test]
    fn an_allocation_is_no_launcher() {
        assert_eq!(from(&[]), None);
        assert_eq!(
            from(&[("SLURM_NTASKS", "8"), ("SLURM_PROCID", "0"), ("SLURM_JOB_ID", "1")]),
            None
        );
    }
}
