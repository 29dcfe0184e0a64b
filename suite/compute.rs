//! Where to compute and with which numbers: options of the command line, checked.

use crate::cli::ComputeArgs;
use crate::cli::error::{Failure, Result, UnknownName};
use crate::cli::terminal;
use crate::run::machine;
use bridle_backends::kernel::Product;
use bridle_backends::{Choice, Name, Precision};
use bridle_values::choices;

choices! {
    /// Number type of the computation.
    "dtype" Dtype {
        /// 32-bit floating point
        Fp32 = "fp32",
        /// operands of linear layers and attention in bfloat16 where the processor is faster with them, all else in 32 bits
        Bf16 = "bf16",
    }
    known: ["fp16"]
}

impl Dtype {
    /// What the backend is asked for.
    pub const fn precision(self) -> Precision {
        match self {
            Self::Fp32 => Precision::F32,
            Self::Bf16 => Precision::Bf16,
        }
    }
}

/// The backend that the options name, and the number type. Says how bf16 is computed here.
///
/// # Errors
/// An unknown name.
pub fn choose(args: &ComputeArgs) -> Result<(Choice, Dtype)> {
    let word = args.backend.as_deref().unwrap_or(Name::Flex.as_str());
    let unknown = || UnknownName::new("backend", word, Name::ALL.map(Name::as_str));
    let name = Name::parse(word).ok_or_else(unknown)?;
    let dtype = args.dtype.as_deref().map_or(Ok(Dtype::Fp32), str::parse)?;
    bounded(args.threads)?;
    let on_processor = name != Name::Cuda && args.device.is_none();
    if dtype == Dtype::Bf16 && on_processor {
        let product = Product::of_this_processor().about();
        terminal::log(&format!("--dtype bf16 on this processor: {product}"));
    }
    let choice = Choice {
        name,
        device: args.device,
        threads: args.threads.map(|threads| threads as usize),
        precision: dtype.precision(),
    };
    Ok((choice, dtype))
}

/// Threads for each core that can do no good any more.
const MOST_PER_CORE: u32 = 8;
/// So many are never refused.
const ALWAYS: u32 = 64;

/// Refuses more threads than the machine could keep busy in any way.
fn bounded(threads: Option<u32>) -> Result<()> {
    let cores = machine::cores() as u32;
    let most = cores.saturating_mul(MOST_PER_CORE).max(ALWAYS);
    match threads {
        Some(threads) if threads > most => {
            let message = format!("{threads} threads are too many for {cores} cores; at most {most} will do");
            Err(Failure::wrong_use(message).with_hint("omit --threads: all cores compute"))
        }
        _ => Ok(()),
    }
}
