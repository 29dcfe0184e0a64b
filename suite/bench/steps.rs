//! The work of each kind, by the same functions that training calls. Model, inputs and vectors are drawn from one seed.

use super::setup::{Kind, Setup};
use crate::compute::Dtype;
use crate::quantizers::{AnyQuantizer, Teacher, Tokenizer};
use bridle::codebook::SeededPicks;
use bridle::encoder::Vit;
use bridle::init::Init;
use bridle::mask::{Mask, MaskRows};
use bridle::optimizer::{AdamWConfig, Gradients, Trainable, Trained};
use bridle::pretrain::{self, Student, TokenizerLoss};
use bridle::quantizer::{Mode, Quantizer, QuantizerValues};
use bridle::swin::Dropout;
use bridle::tokenizer::Source;
use bridle::weights;
use bridle_backends::TrainBackend;
use bridle_backends::kernel::ranks;
use bridle_seed::Seed;
use burn::module::{AutodiffModule, Module};
use burn::tensor::{Int, Tensor, TensorData};

/// The peer's optimizer.
const ADAMW: AdamWConfig = AdamWConfig {
    beta1: 0.9,
    beta2: 0.95,
    epsilon: 1e-8,
    weight_decay: 0.05,
};

/// The peer's learning rate.
const RATE: f64 = 1e-3;

/// Model, optimizers and inputs.
#[derive(Clone)]
pub struct Workload<'a, B: TrainBackend> {
    setup: &'a Setup,
    device: B::Device,
    seed: Seed,
    /// Inputs [B, C, T, H, W].
    pub x: Tensor<B, 5>,
    /// What the quantize task quantizes, [1, M, d].
    pub vectors: Tensor<B::InnerBackend, 3>,
    /// What an encoder step trains.
    pub student: Trained<B, Student<B>>,
    /// What a tokenizer step trains.
    pub teacher: Trained<B, Teacher<B>>,
    /// The tokenizer as an encoder step has it.
    pub frozen_tokenizer: Tokenizer<B::InnerBackend>,
    /// Started on `vectors`.
    pub quantizer: AnyQuantizer<B::InnerBackend>,
    /// Steps taken, which number the draws.
    steps: u64,
}

impl<'a, B: TrainBackend> Workload<'a, B> {
    /// A random model whose codebooks have started on these inputs.
    pub fn new(setup: &'a Setup, device: &B::Device) -> Self {
        let (config, seed) = (&setup.model, Seed::root(0).child("bench"));
        let [channels, times, rows, columns] = config.geometry.input();
        let draw = |name: &str, length: usize| -> Vec<f32> {
            let mut stream = seed.child(name).stream();
            (0..length).map(|_| stream.normal()).collect()
        };
        let x = draw("inputs", setup.batch * config.geometry.input_len());
        let x = Tensor::from_data(
            TensorData::new(x, [setup.batch, channels, times, rows, columns]),
            device,
        );
        let shape = [1, setup.vectors, config.quantizer.code_dim()];
        let vectors = TensorData::new(draw("vectors", shape.iter().product()), shape);
        let init = Init::<B>::new(seed.child("weights"), device);
        let student = Student::new(config, &init.child("student"));
        let mut teacher = Teacher::<B>::new(config, &init.child("teacher"));
        let vectors = Tensor::from_data(vectors, device);
        let mut picks = SeededPicks(seed.child("picks"));
        let mut quantizer = teacher.tokenizer.quantizer.valid();
        quantizer.forward(vectors.clone(), Mode::Eval, &mut picks);
        // without a graph, which would be the most that most tasks ever hold
        let mut frozen_tokenizer = teacher.tokenizer.valid();
        frozen_tokenizer.quantize(x.clone().inner(), Source::Network, Mode::Eval, &mut picks);
        let mut books = weights::load(
            teacher.tokenizer.quantizer,
            &weights::collect(&frozen_tokenizer.quantizer),
        )
        .expect("a copy has the same parameters");
        books.set_started(true);
        teacher.tokenizer.quantizer = books;
        Self {
            setup,
            device: device.clone(),
            frozen_tokenizer,
            seed,
            x,
            vectors,
            student: Trained::new(student, ADAMW),
            teacher: Trained::new(teacher, ADAMW),
            quantizer,
            steps: 0,
        }
    }

    /// Number type of the computation.
    pub const fn dtype(&self) -> Dtype {
        self.setup.dtype
    }

    /// The same with at most so many samples.
    pub fn with_samples(&self, most: usize) -> Self {
        let [batch, ..] = self.x.dims();
        Self {
            x: self.x.clone().narrow(0, 0, batch.min(most)),
            ..self.clone()
        }
    }

    /// One run of this kind.
    pub fn perform(&mut self, kind: Kind) {
        match kind {
            Kind::EncoderStep => {
                let mask = self.mask();
                let codes = self.labels(&mask);
                let grads = self.weighted(self.encoder_loss(&mask, codes)).backward();
                self.update_student(Gradients::of(&*self.student, grads).over_ranks());
            }
            Kind::TokenizerStep => {
                let target = self.target();
                let loss = self.tokenizer_loss(target).total();
                let grads = self.weighted(loss).backward();
                self.update_teacher(Gradients::of(&*self.teacher, grads).over_ranks());
            }
            Kind::Tokenise => drop(self.codes()),
            Kind::Features => drop(self.features()),
            Kind::Quantize => drop(self.quantize()),
        }
        self.steps += 1;
    }

    /// A loss by this rank's share of the batch.
    fn weighted(&self, loss: Tensor<B, 1>) -> Tensor<B, 1> {
        match ranks().size() {
            1 => loss,
            _ => loss.mul_scalar(self.setup.batch as f64 / self.setup.of as f64),
        }
    }

    /// The mask of the next step.
    pub fn mask(&self) -> MaskRows<B> {
        let (geometry, ratio) = (&self.setup.model.geometry, self.setup.mask_ratio);
        let [batch, ..] = self.x.dims();
        let [times, height, width] = geometry.grid();
        let mut stream = self.seed.child("mask").indexed(self.steps).stream();
        let mut noise = |count: usize| (0..count).map(|_| stream.uniform()).collect::<Vec<f32>>();
        let mask = if geometry.is_video() {
            Mask::tube(&noise(batch * height * width), times, height * width, ratio)
        } else {
            Mask::random(&noise(batch * geometry.tokens()), geometry.tokens(), ratio)
        };
        mask.upload(&self.device)
    }

    /// The codes of a mask's removed tokens, [B * R, Q].
    pub fn labels(&mut self, mask: &MaskRows<B>) -> Tensor<B, 2, Int> {
        let (x, mut picks) = (self.x.clone().inner(), self.picks());
        let codes = pretrain::labels(
            &mut self.frozen_tokenizer,
            x,
            Source::Network,
            &mask.inner(),
            &mut picks,
        );
        Tensor::from_inner(codes)
    }

    /// The loss of an encoder step.
    pub fn encoder_loss(&self, mask: &MaskRows<B>, codes: Tensor<B, 2, Int>) -> Tensor<B, 1> {
        let mut dropout = Dropout::Draw(Box::new(self.seed.child("dropout").indexed(self.steps).stream()));
        pretrain::encoder_loss(&self.student, self.x.clone(), mask, codes, &mut dropout)
    }

    /// What the estimator must recover, [B, N, D].
    pub fn target(&self) -> Tensor<B, 3> {
        Tensor::from_inner(self.frozen_encoder().embed_patches(self.x.clone().inner()))
    }

    /// The losses of a tokenizer step; codebooks move.
    pub fn tokenizer_loss(&mut self, target: Tensor<B, 3>) -> TokenizerLoss<B> {
        let mut picks = self.picks();
        pretrain::tokenizer_loss(&mut self.teacher, self.x.clone(), target, Mode::Train, &mut picks)
    }

    /// The optimizer's part of an encoder step.
    pub fn update_student(&mut self, grads: Gradients<B>) {
        self.student.update(grads, RATE);
    }

    /// The optimizer's part of a tokenizer step.
    pub fn update_teacher(&mut self, grads: Gradients<B>) {
        self.teacher.update(grads, RATE);
    }

    /// The codes of all tokens, [B, N, Q].
    pub fn codes(&mut self) -> Tensor<B::InnerBackend, 3, Int> {
        let (x, mut picks) = (self.x.clone().inner(), self.picks());
        self.frozen_tokenizer.codes(x, Source::Network, &mut picks)
    }

    /// Mean patch tokens, [B, D].
    pub fn features(&self) -> Tensor<B::InnerBackend, 2> {
        self.frozen_encoder().features(self.x.clone().inner())
    }

    /// The encoder as a tokenizer step has it. Nobody holds it beside the student, whose update would then need a copy.
    fn frozen_encoder(&self) -> Vit<B::InnerBackend> {
        self.student.encoder.valid()
    }

    /// The codes of the vectors, [1, M, Q].
    pub fn quantize(&mut self) -> Tensor<B::InnerBackend, 3, Int> {
        let mut picks = self.picks();
        self.quantizer.codes(self.vectors.clone(), &mut picks)
    }

    /// Parameters of encoder and decoder.
    pub fn encoder_parameters(&self) -> usize {
        self.student.num_params()
    }

    /// Parameters of tokenizer and estimator. Codebooks and their averages are none: no gradient reaches them.
    pub fn tokenizer_parameters(&self) -> usize {
        self.teacher.num_params() - self.teacher.tokenizer.quantizer.num_params()
    }

    /// A run that is already started draws nothing from them.
    fn picks(&self) -> SeededPicks {
        SeededPicks(self.seed.child("picks"))
    }
}
