//! BRIDLE over frames of speech: sequences of different lengths, a Conformer in place of the ViT,
//! and the loss of transcripts.

pub mod conformer;
pub mod ctc;
pub mod tokenizer;
