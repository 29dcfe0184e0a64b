//! BRIDLE (arXiv 2502.02118): self-supervised pretraining by masked prediction of residual-quantized labels, encoder
//! and tokenizer trained in turns. The algorithm alone: no files, no command line, no network.
//!
//! Symbols, in code and comments alike: B batch, N patch tokens, T tokens of a sequence (N, or N + 1 with the cls
//! token), D width, d code dimension, Q codebooks (levels), K codes per codebook, R removed tokens.
//!
//! In the paper's order:
//! * [`config`]: sizes and the input's geometry; [`init`]: first weights, drawn on the host
//! * [`patch`], [`position`]: input to tokens
//! * [`mask`]: which tokens the encoder sees
//! * [`transformer`], [`swin`]: blocks with global and with local attention
//! * [`encoder`], [`decoder`]: the student
//! * [`tokenizer`], [`quantizer`], [`codebook`], [`estimator`]: the teacher
//! * [`pretrain`]: losses and steps of both phases and of joint training
//! * [`classifier`]: the encoder with a head, for fine-tuning
//! * [`best_rq`], [`birq`]: the methods of fixed random labels and of labels that the encoder improves itself, over
//!   [`frames`] of sequences of different lengths, with the [`conformer`]; [`distilled`]: a second book whose codes learn;
//!   [`ctc`]: the loss of transcripts
//! * [`optimizer`]: AdamW over named parameters
//! * [`weights`]: parameters by name, for checkpoints and exchange

pub mod best_rq;
pub mod birq;
pub mod classifier;
pub mod codebook;
pub mod config;
pub mod conformer;
pub mod ctc;
pub mod decoder;
pub mod distilled;
pub mod encoder;
pub mod estimator;
pub mod frame_tokenizer;
pub mod frames;
pub mod init;
pub mod mask;
pub mod optimizer;
pub mod patch;
pub mod position;
pub mod pretrain;
pub mod quantizer;
pub mod swin;
pub mod tokenizer;
pub mod transformer;
pub mod weights;
