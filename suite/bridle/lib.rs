//! BRIDLE (arXiv 2502.02118): self-supervised pretraining by masked prediction of
//! residual-quantized labels, encoder and tokenizer trained in turns. Only the algorithm: no files,
//! no command line, no network.
//!
//! Symbols in code and comments: B batch, N patch tokens, T tokens of a sequence (N, or N + 1 with
//! the cls token), D width, d code dimension, Q codebooks (levels), K codes per codebook, R removed
//! tokens.
//!
//! In the paper's order:
//! * [`config`]: sizes and the input's geometry; [`init`]: first weights, drawn on the host
//! * [`patch`], [`position`]: input to tokens
//! * [`mask`]: which tokens the encoder sees
//! * [`transformer`], [`swin`]: blocks with global and with local attention
//! * [`encoder`], [`decoder`]: the student
//! * [`tokenizer`], [`quantizer`], [`rq`], [`codebook`], [`estimator`]: the teacher
//! * [`loss`], [`pretrain`]: losses, and the steps of both phases and of joint training
//! * [`classifier`]: the encoder with a head, for fine-tuning
//! * [`layered`], [`frames`], [`standardizer`]: encoders of sequences, and batches of them
//! * [`speech`]: the same method over frames of speech
//! * [`optimizer`]: AdamW over named parameters
//! * [`weights`]: parameters by name, for checkpoints and exchange

pub mod classifier;
pub mod codebook;
pub mod config;
pub mod decoder;
pub mod encoder;
pub mod estimator;
pub mod frames;
pub mod init;
pub mod layered;
pub mod loss;
pub mod mask;
pub mod optimizer;
pub mod over_ranks;
pub mod patch;
pub mod position;
pub mod pretrain;
pub mod quantizer;
pub mod rq;
pub mod speech;
pub mod standardizer;
pub mod swin;
pub mod tokenizer;
pub mod transformer;
pub mod weights;
