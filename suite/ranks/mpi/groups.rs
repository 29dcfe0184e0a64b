//! Who is on which machine, and in which groups sums are made.

/// A communicator, and this process's place in it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Group {
    pub handle: usize,
    pub rank: usize,
    pub size: usize,
}

/// The groups of this process.
#[derive(Clone, Debug, Default)]
pub struct Groups {
    pub world: Group,
    /// The ranks of this machine.
    pub local: Group,
    /// The first rank of this machine.
    pub first_of_machine: usize,
    /// Machines.
    pub machines: usize,
    /// Sums are made within the first, then over the second, if there is one.
    pub levels: Vec<Group>,
}

impl Groups {
    /// All that is known at first.
    pub fn alone(world: Group) -> Self {
        Self {
            world,
            levels: vec![world],
            ..Self::default()
        }
    }

    /// Sums over all ranks at once, which are on these machines.
    pub fn flat(world: Group, local: Group, machine: &[u64]) -> Self {
        let mut machines = machine.to_vec();
        machines.sort_unstable();
        machines.dedup();
        Self {
            local,
            first_of_machine: machine[world.rank] as usize,
            machines: machines.len(),
            ..Self::alone(world)
        }
    }
}

/// Ranks per machine, where sums within machines first are the same tree, and send less over the
/// network: several machines with equal numbers of ranks, a power of two above 1, numbered machine
/// by machine.
pub fn alike(machine: &[u64]) -> Option<usize> {
    let first = machine.first()?;
    let each = machine.iter().take_while(|&other| other == first).count();
    let mut seen = Vec::new();
    let alike = machine.chunks(each).all(|chunk| {
        let new = !seen.contains(&chunk[0]);
        seen.push(chunk[0]);
        new && chunk.len() == each && chunk.iter().all(|&other| other == chunk[0])
    });
    (alike && each > 1 && each.is_power_of_two() && each < machine.len()).then_some(each)
}

#[cfg(test)]
mod tests {
    use super::alike;

    #[test]
    fn sums_go_by_machine_where_that_changes_no_bit() {
        assert_eq!(alike(&[0, 0, 2, 2, 4, 4]), Some(2));
        // one machine; one rank each; three each; numbered in turn; unequal; a machine that comes twice
        for other in [
            &[0, 0, 0, 0][..],
            &[0, 1],
            &[0, 0, 0, 3, 3, 3],
            &[0, 1, 0, 1],
            &[0, 0, 2],
            &[0, 0, 2, 2, 0, 0],
        ] {
            assert_eq!(alike(other), None, "{other:?}");
        }
    }
}
