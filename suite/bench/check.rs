//! Holds each kind to its plain form, values and gradients, on some of the inputs that are timed.

use super::setup::Kind;
use super::steps::Workload;
use crate::cli::error::Failure;
use crate::cli::exit::Exit;
use crate::compute::Dtype;
use bridle::codebook::SeededPicks;
use bridle::loss::estimation_loss;
use bridle::optimizer::Gradients;
use bridle::quantizer::{Mode, Quantizer};
use bridle::tokenizer::Source;
use bridle::weights::{self, Path, Values, Weights};
use bridle_backends::TrainBackend;
use bridle_backends::kernel::plainly;
use bridle_seed::Seed;
use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{Int, Tensor};

/// How far the fast form may be from the plain one.
#[derive(Clone, Copy, Debug)]
struct Tolerance {
    /// Largest difference of a value, over the largest plain value: rounding over two dozen blocks.
    values: f32,
    /// The same for gradients, whose chains are twice as long.
    gradients: f32,
}

impl Tolerance {
    /// In f32 sums differ by their order. TF32 rounds operands to 2^-11 of each, an eighth of what bf16 does, of which the
    /// plain form also rounds its results, to 2^-9 of each.
    const fn of(dtype: Dtype, tf32: bool) -> Self {
        match dtype {
            Dtype::Fp32 if tf32 => Self {
                values: 0.02 / 8.0,
                gradients: 0.05 / 8.0,
            },
            Dtype::Fp32 => Self {
                values: 1e-4,
                gradients: 1e-3,
            },
            Dtype::Bf16 => Self {
                values: 0.02,
                gradients: 0.05,
            },
        }
    }
}

/// Largest difference of what the optimizer and the quantizer leave, over the largest value: both are f32 always.
const UPDATED: f32 = 1e-4;

/// How much farther than the nearest a code may be, over the squared length: rounding of a distance.
const DISTANCE: f32 = 1e-5;

/// Samples on which the forms are compared: the plain form keeps every product, and its memory would be the peak of the
/// process.
const SAMPLES: usize = 2;

/// How often inputs are changed until both forms take the same codes.
const ATTEMPTS: usize = 5;

/// A kind whose fast form does not compute what its plain form computes.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CheckError {
    /// Values are too far apart.
    #[error("{kind} is not timed: its {what} differs from the plain form by {difference:.1e} of the largest value")]
    Values {
        /// The kind.
        kind: Kind,
        /// What differs.
        what: String,
        /// Largest difference over the largest plain value.
        difference: f32,
    },
    /// A code is not the nearest.
    #[error("{kind} is not timed: {count} of its {all} codes are not the nearest of their codebook")]
    Codes {
        /// The kind.
        kind: Kind,
        /// How many.
        count: usize,
        /// Of how many.
        all: usize,
    },
}

impl From<CheckError> for Failure {
    fn from(error: CheckError) -> Self {
        Failure::new(Exit::Fault, error)
    }
}

/// Holds one kind to its plain form, on a device whose fp32 products may be of TF32 or not. The workload stays as it is.
pub fn check<B: TrainBackend>(work: &Workload<'_, B>, kind: Kind, tf32: bool) -> Result<(), CheckError> {
    let mut work = work.clone();
    let dtype = work.dtype();
    let check = Check {
        kind,
        rounds: dtype == Dtype::Bf16 || tf32,
        tolerance: Tolerance::of(dtype, tf32),
    };
    match kind {
        Kind::EncoderStep => check.encoder_step(&mut work),
        Kind::TokenizerStep => check.tokenizer_step(&mut work),
        Kind::Tokenise => check.tokenise(&work),
        Kind::Features => {
            let work = work.with_samples(SAMPLES);
            check.close("result", work.features(), plainly(|| work.features()))
        }
        Kind::Quantize => {
            let rows = work.vectors.clone();
            let codes = work.quantize();
            check.nearest(&work.quantizer, rows, codes)
        }
    }
}

struct Check {
    kind: Kind,
    /// Whether the operands of products are rounded.
    rounds: bool,
    tolerance: Tolerance,
}

impl Check {
    fn encoder_step<B: TrainBackend>(&self, work: &mut Workload<'_, B>) -> Result<(), CheckError> {
        self.tokenise(work)?;
        let mut work = work.with_samples(SAMPLES);
        let mask = work.mask();
        let codes = work.labels(&mask);
        let fast = work.encoder_loss(&mask, codes.clone());
        let plain = plainly(|| work.encoder_loss(&mask, codes));
        self.close("loss", fast.clone().inner(), plain.clone().inner())?;
        let fast = fast.backward();
        let plain = plainly(|| plain.backward());
        self.gradients(&*work.student, &fast, &plain)?;
        // what one form needed is gone before the other begins: both at once would be the most that the process ever holds
        drop(plain);
        let fast = Gradients::of(&*work.student, fast);
        let before = work.clone();
        let updated = |mut work: Workload<'_, B>| {
            work.update_student(fast.clone());
            weights::collect(&*work.student)
        };
        let (fast, plain) = (updated(work), plainly(|| updated(before)));
        self.all_close("updated", &fast, &plain, UPDATED)
    }

    /// A latent halfway between two codes may go either way by rounding, and all after it differs. Such inputs say
    /// nothing, so that slightly larger ones are taken.
    fn tokenizer_step<B: TrainBackend>(&self, work: &mut Workload<'_, B>) -> Result<(), CheckError> {
        self.tokenise(work)?;
        if self.rounds {
            return self.tokenizer_parts(&work.with_samples(SAMPLES));
        }
        for attempt in 0..ATTEMPTS {
            let mut fast = work.with_samples(SAMPLES);
            fast.x = fast.x * (1.0 + 0.01 * attempt as f32);
            if let Some(result) = self.unambiguous_tokenizer_step(fast) {
                return result;
            }
        }
        let what = "choice of codes".to_owned();
        Err(CheckError::Values {
            kind: self.kind,
            what,
            difference: f32::INFINITY,
        })
    }

    /// Rounded operands leave no inputs of which both forms take all the same codes. So tokenizer and estimator are held to
    /// their plain forms apart; what lies between, the quantizer, is f32 and checked so.
    fn tokenizer_parts<B: TrainBackend>(&self, work: &Workload<'_, B>) -> Result<(), CheckError> {
        let (target, plain_target) = (work.target(), plainly(|| work.target()));
        self.close("target", target.clone().inner(), plain_target.inner())?;
        let latents = || work.teacher.tokenizer.latents(work.x.clone(), Source::Network, None);
        let (fast, plain) = (latents(), plainly(latents));
        self.close("latents", fast.clone().inner(), plain.clone().inner())?;
        let given = fast.clone().detach();
        // a weighting of the latents by themselves, the same for both
        let pull = |latents: Tensor<B, 3>| (latents * given.clone()).sum().backward();
        self.gradients(&work.teacher.tokenizer, &pull(fast), &plainly(|| pull(plain)))?;
        let loss = || estimation_loss(work.teacher.estimator.forward(given.clone()), target.clone());
        let (fast, plain) = (loss(), plainly(loss));
        self.close("loss", fast.clone().inner(), plain.clone().inner())?;
        let (fast, plain) = (fast.backward(), plainly(|| plain.backward()));
        self.gradients(&work.teacher.estimator, &fast, &plain)
    }

    /// None where the two forms take different codes.
    fn unambiguous_tokenizer_step<B: TrainBackend>(&self, mut work: Workload<'_, B>) -> Option<Result<(), CheckError>> {
        let mut same = work.clone();
        let (target, plain_target) = (work.target(), plainly(|| work.target()));
        let fast = work.tokenizer_loss(target.clone());
        let plain = plainly(|| same.tokenizer_loss(plain_target.clone()));
        if fast.quantized.codes.to_data() != plain.quantized.codes.to_data() {
            return None;
        }
        let compare = || {
            self.close("target", target.inner(), plain_target.inner())?;
            self.close("loss", fast.total().inner(), plain.total().inner())?;
            let (fast, plain) = (fast.total().backward(), plainly(|| plain.total().backward()));
            self.gradients(&*work.teacher, &fast, &plain)?;
            let books = [&work.teacher, &same.teacher].map(|teacher| weights::collect(&teacher.tokenizer.quantizer));
            self.all_close("moved", &books[0], &books[1], UPDATED)?;
            same.teacher = work.teacher.clone();
            let fast = Gradients::of(&*work.teacher, fast);
            work.update_teacher(fast.clone());
            plainly(|| same.update_teacher(fast));
            let teachers = [&*work.teacher, &*same.teacher].map(weights::collect);
            self.all_close("updated", &teachers[0], &teachers[1], UPDATED)
        };
        Some(compare())
    }

    fn tokenise<B: TrainBackend>(&self, work: &Workload<'_, B>) -> Result<(), CheckError> {
        let mut work = work.with_samples(SAMPLES);
        let latents = |work: &Workload<'_, B>| {
            work.frozen_tokenizer
                .latents(work.x.clone().inner(), Source::Network, None)
        };
        let fast = latents(&work);
        self.close("latents", fast.clone(), plainly(|| latents(&work)))?;
        let codes = work.codes();
        self.nearest(&work.frozen_tokenizer.quantizer, fast, codes)
    }

    /// Every code [B, N, Q] must be the nearest to what the codes before it left of its latent [B, N, d].
    fn nearest<B: Backend>(
        &self,
        quantizer: &impl Quantizer<B>,
        latents: Tensor<B, 3>,
        codes: Tensor<B, 3, Int>,
    ) -> Result<(), CheckError> {
        if quantizer.codebooks().is_empty() {
            // computed without a codebook: they stand for the vectors of the whole forward pass
            let (mut quantizer, mut picks) = (quantizer.clone(), SeededPicks(Seed::root(0)));
            let whole = quantizer.forward(latents, Mode::Eval, &mut picks).values;
            return self.close("vectors of codes", quantizer.decode(codes), whole);
        }
        let [batch, tokens, dim] = latents.dims();
        let count = batch * tokens;
        let mut residual = latents.reshape([count, dim]);
        let mut wrong = 0;
        for (level, book) in quantizer.codebooks().iter().enumerate() {
            let rows = bridle::codebook::unit(residual.clone());
            let code = codes.clone().narrow(2, level, 1).reshape([count, 1]);
            let distances = book.distances(rows.clone());
            let excess = distances.clone().gather(1, code.clone()) - distances.min_dim(1);
            // what is no number is doubtful too
            let excess = excess.into_data();
            let doubtful = excess.iter::<f32>().enumerate();
            let doubtful: Vec<usize> = doubtful
                .filter(|(_, excess)| excess.is_nan() || *excess > DISTANCE)
                .map(|(row, _)| row)
                .collect();
            wrong += not_nearest(rows, book.vectors.val(), code.clone(), &doubtful);
            residual = residual - book.lookup(code);
        }
        if wrong > 0 {
            let all = count * quantizer.codebooks().len();
            return Err(CheckError::Codes {
                kind: self.kind,
                count: wrong,
                all,
            });
        }
        Ok(())
    }

    fn gradients<B: AutodiffBackend>(
        &self,
        module: &impl Module<B>,
        fast: &B::Gradients,
        plain: &B::Gradients,
    ) -> Result<(), CheckError> {
        self.all_close(
            "gradient of",
            &gradients(module, fast),
            &gradients(module, plain),
            self.tolerance.gradients,
        )
    }

    fn close<B: Backend, const D: usize>(
        &self,
        what: &str,
        fast: Tensor<B, D>,
        plain: Tensor<B, D>,
    ) -> Result<(), CheckError> {
        let [fast, plain] = [fast, plain].map(|tensor| Values::from_data(tensor.into_data()));
        self.within(what, &fast, &plain, self.tolerance.values)
    }

    fn all_close(&self, what: &str, fast: &Weights, plain: &Weights, most: f32) -> Result<(), CheckError> {
        assert!(fast.keys().eq(plain.keys()), "both forms have the same parameters");
        let pairs = fast.iter().zip(plain.values());
        for ((name, fast), plain) in pairs {
            self.within(&format!("{what} {name}"), fast, plain, most)?;
        }
        Ok(())
    }

    fn within(&self, what: &str, fast: &Values, plain: &Values, most: f32) -> Result<(), CheckError> {
        let largest = plain
            .data
            .iter()
            .fold(0.0_f32, |largest, value| largest.max(value.abs()));
        let pairs = fast.data.iter().zip(&plain.data);
        let difference = pairs.fold(0.0, |most: f32, (fast, plain)| {
            let difference = (fast - plain).abs();
            // `max` would drop what is no number
            if difference.is_nan() {
                f32::INFINITY
            } else {
                most.max(difference)
            }
        });
        let difference = difference / largest.max(f32::MIN_POSITIVE);
        if difference > most {
            let what = what.to_owned();
            return Err(CheckError::Values {
                kind: self.kind,
                what,
                difference,
            });
        }
        Ok(())
    }
}

/// How many of the doubtful rows of `rows` [M, d] have codes [M, 1] that are not the nearest of `vectors` [K, d]. The product
/// that found them doubtful may have rounded, so they are looked at once more on the host, in f64.
fn not_nearest<B: Backend>(
    rows: Tensor<B, 2>,
    vectors: Tensor<B, 2>,
    codes: Tensor<B, 2, Int>,
    doubtful: &[usize],
) -> usize {
    if doubtful.is_empty() {
        return 0;
    }
    let [_, dim] = rows.dims();
    let [rows, vectors] = [rows, vectors].map(|tensor| tensor.into_data().iter::<f64>().collect::<Vec<_>>());
    let codes: Vec<usize> = codes.into_data().iter::<i64>().map(|code| code as usize).collect();
    let wrong = |row: &&usize| {
        let to = |vector: &[f64]| -> f64 {
            let pairs = rows[*row * dim..][..dim].iter().zip(vector);
            pairs.map(|(a, b)| (a - b).powi(2)).sum()
        };
        let nearest = vectors.chunks_exact(dim).map(to).fold(f64::INFINITY, f64::min);
        let excess = to(&vectors[codes[**row] * dim..][..dim]) - nearest;
        excess.is_nan() || excess > f64::from(DISTANCE)
    };
    doubtful.iter().filter(wrong).count()
}

/// Every gradient of a module, by its parameter's name.
fn gradients<B: AutodiffBackend>(module: &impl Module<B>, grads: &B::Gradients) -> Weights {
    let mut collect = Collect {
        grads,
        path: Path::default(),
        found: Weights::new(),
    };
    module.visit(&mut collect);
    collect.found
}

struct Collect<'a, B: AutodiffBackend> {
    grads: &'a B::Gradients,
    path: Path,
    found: Weights,
}

impl<B: AutodiffBackend> ModuleVisitor<B> for Collect<'_, B> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.enter(name);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        if let Some(grad) = param.val().grad(self.grads) {
            self.found.insert(self.path.name(), Values::from_data(grad.into_data()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::not_nearest;
    use burn::tensor::{Int, Tensor};
    use burn_flex::Flex;

    #[test]
    fn doubtful_codes_are_judged_by_exact_distances() {
        let device = Default::default();
        let vectors = Tensor::<Flex, 2>::from_floats([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]], &device);
        let rows = Tensor::from_floats([[0.9, 0.1], [0.1, 0.9], [0.4, 0.6], [f32::NAN, 0.0]], &device);
        let codes = Tensor::<Flex, 2, Int>::from_ints([[0], [2], [0], [0]], &device);
        let wrong = |doubtful: &[usize]| not_nearest(rows.clone(), vectors.clone(), codes.clone(), doubtful);
        // the second row's is one of two equally near; what is no number is near nothing
        assert_eq!(
            [&[0, 1][..], &[2], &[3], &[0, 1, 2, 3], &[]].map(wrong),
            [0, 1, 1, 2, 0]
        );
    }
}
