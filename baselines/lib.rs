//! What BRIDLE is compared with: quantizers, methods, encoders that others trained.
//!
//! * [`vq`]: one codebook, as in BEATs (arXiv 2212.09058). `run --quantizer vq`
//! * [`random`]: random projections and codebooks (arXiv 2202.01855). `run --quantizer random`
//! * [`best_rq`]: predict random labels of the input (arXiv 2202.01855). `run --method best-rq`
//! * [`birq`]: labels that the encoder's own layers improve (arXiv 2509.15430). `run --method birq`
//! * [`distilled`]: a second codebook, distilled from the encoder (arXiv 2606.30671).
//!   `run --task digits --method best-rq --set refine.distilled_codes=64`
//! * [`import`]: encoders of BRIDLE's authors (arXiv 2502.02118). `import`, then `run --init`
//!
//! `published.toml` has the numbers that papers and repositories report, with their sources.

pub mod best_rq;
pub mod birq;
pub mod distilled;
pub mod import;
pub mod random;
pub mod vq;
