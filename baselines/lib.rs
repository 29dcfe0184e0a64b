//! The baselines: other methods and quantizers that BRIDLE is compared with, and foreign
//! checkpoints.
//!
//! | baseline | paper | file | command |
//! |---|---|---|---|
//! | one codebook in place of the residual quantizer, as in BEATs | arXiv 2212.09058 | [`vq`] | `run --quantizer vq` |
//! | random projections in place of the residual quantizer | arXiv 2202.01855 | [`random`] | `run --quantizer random` |
//! | BEST-RQ: masked prediction of random labels of the input | arXiv 2202.01855 | [`best_rq`] | `run --method best-rq` |
//! | BiRQ: the same, with labels that the encoder's layers improve | arXiv 2509.15430 | [`birq`] | `run --method birq` |
//! | a second codebook that is distilled from the encoder (speech) | arXiv 2606.30671 | [`distilled`] | `run --method best-rq --set refine.distilled_codes=K` |
//! | encoders released by the authors of BRIDLE | arXiv 2502.02118 | [`import`] | `import FILE` |
//!
//! `published.toml` has the numbers that papers and repositories report, with their sources.

pub mod best_rq;
pub mod birq;
pub mod distilled;
pub mod import;
pub mod random;
pub mod vq;
