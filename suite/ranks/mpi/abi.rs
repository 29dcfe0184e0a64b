//! The constants of the three families of MPI libraries, which differ in their binary interface.
//!
//! Handles are pointers in Open MPI and in the standard interface of MPI 5, and 32-bit integers in
//! MPICH and its kin (MVAPICH, Intel MPI, Cray MPICH). All pass in a 64-bit register, so that they
//! are `usize` here. Out-parameters start as the null handle, of which a 32-bit library overwrites
//! the lower half: right where integers are little-endian.

use super::library::Library;
use crate::error::RanksError;
use std::ffi::c_int;

#[cfg(not(all(target_endian = "little", target_pointer_width = "64")))]
compile_error!("handles of MPI libraries are read as little-endian integers of 64 bits");

/// The families.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    OpenMpi,
    Mpich,
    /// MPI 5's standard binary interface.
    Standard,
}

/// Constants that are passed to functions.
#[derive(Clone, Copy, Debug)]
pub struct Constants {
    pub world: usize,
    pub byte: usize,
    pub float: usize,
    pub sum: usize,
    pub errors_return: usize,
    pub request_null: usize,
    pub info_null: usize,
    pub status_ignore: usize,
    pub shared_memory: c_int,
    pub serialized: c_int,
}

impl Family {
    /// The family of an open library, by its symbols, its file name and what it says of itself.
    pub fn of(library: &str, says: &str, is_open_mpi: bool) -> Result<Self, RanksError> {
        // as the libraries call themselves; MVAPICH, Intel's and Cray's are made from MPICH
        let mpich = ["MPICH", "MVAPICH", "Intel(R) MPI"];
        if is_open_mpi {
            Ok(Self::OpenMpi)
        } else if library.contains("mpi_abi") {
            Ok(Self::Standard)
        } else if mpich.iter().any(|name| says.contains(name)) {
            Ok(Self::Mpich)
        } else {
            Err(RanksError::Unknown {
                library: library.to_owned(),
                says: says.lines().next().unwrap_or_default().trim().to_owned(),
            })
        }
    }

    /// Its constants, from the headers `mpi.h` of Open MPI 4.1 and MPICH 4.0, and from the standard MPI 5.0,
    /// appendix A.
    ///
    /// # Errors
    /// If a symbol of Open MPI is missing.
    pub fn constants(self, library: &Library) -> Result<Constants, RanksError> {
        Ok(match self {
            Self::OpenMpi => Constants {
                world: library.address(OPEN_MPI_WORLD)?,
                byte: library.address("ompi_mpi_byte")?,
                float: library.address("ompi_mpi_float")?,
                sum: library.address("ompi_mpi_op_sum")?,
                errors_return: library.address("ompi_mpi_errors_return")?,
                request_null: library.address("ompi_request_null")?,
                info_null: library.address("ompi_mpi_info_null")?,
                status_ignore: 0,
                shared_memory: 0,
                serialized: 2,
            },
            Self::Mpich => Constants {
                world: 0x4400_0000,
                byte: 0x4c00_010d,
                float: 0x4c00_040a,
                sum: 0x5800_0003,
                errors_return: 0x5400_0001,
                request_null: 0x2c00_0000,
                info_null: 0x1c00_0000,
                status_ignore: 1,
                shared_memory: 1,
                serialized: 2,
            },
            Self::Standard => Constants {
                world: 0x101,
                byte: 0x247,
                float: 0x210,
                sum: 0x21,
                errors_return: 0x143,
                request_null: 0x180,
                info_null: 0x130,
                status_ignore: 0,
                shared_memory: 221,
                serialized: 2048,
            },
        })
    }
}

/// A symbol that Open MPI alone has.
pub const OPEN_MPI_WORLD: &str = "ompi_mpi_comm_world";

/// A library's name and version in a few words, from what `MPI_Get_library_version` says.
pub fn short_name(says: &str) -> String {
    let line = says.lines().next().unwrap_or_default();
    let line = line.split(',').next().unwrap_or_default();
    let words = line.split_whitespace().filter(|word| *word != "Version:");
    let words: Vec<&str> = words.collect();
    words.join(" ").replace("Open MPI v", "Open MPI ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_is_known_by_its_own_words() {
        assert_eq!(
            short_name("Open MPI v4.1.4, package: Debian OpenMPI, ident: 4.1.4"),
            "Open MPI 4.1.4"
        );
        assert_eq!(
            short_name("MPICH Version:      4.0.2\nMPICH Release date: x"),
            "MPICH 4.0.2"
        );
        assert_eq!(
            Family::of("libmpi.so.12", "MPICH Version: 4.0.2", false),
            Ok(Family::Mpich)
        );
        let intel = "Intel(R) MPI Library 2021.9 for Linux* OS";
        assert_eq!(Family::of("libmpi.so.12", intel, false), Ok(Family::Mpich));
        assert_eq!(
            Family::of("libmpi_abi.so.1", "MPICH Version: 5.0.2", false),
            Ok(Family::Standard)
        );
        let unknown = Family::of("libmpi.so", "Acme MPI 3\nmore", false);
        let (library, says) = ("libmpi.so".to_owned(), "Acme MPI 3".to_owned());
        assert_eq!(unknown, Err(RanksError::Unknown { library, says }));
    }
}
