//! The list of methods: one line each, with what is known of it and, where it pretrains, its type.

use super::{best_rq, birq, bridle, relabel, untrained};
use crate::plan::method::MethodInfo;
use crate::train::phases::{self, Pretrained};
use crate::train::{Context, PretrainState, TrainError};
use ::bridle::weights::Weights;
use bridle_backends::TrainBackend;

/// Declares the methods. `B` is the backend, `D` the kind of data.
macro_rules! methods {
    ($($variant:ident: $info:path $(, $method:ty)?;)+) => {
        /// What trains the encoder.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Method { $($variant,)+ }

        impl Method {
            /// All methods, in the order of the list.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// What is known of it.
            pub const fn info(self) -> &'static MethodInfo {
                match self { $(Self::$variant => &$info),+ }
            }
        }

        /// Pretrains by the plan's method, from the start or from a checkpoint. Panics if it
        /// pretrains nothing.
        ///
        /// # Errors
        /// If training diverges, is interrupted, cannot read a sample, or cannot write; if the
        /// checkpoint does not fit.
        pub fn pretrain<B: TrainBackend, D: bridle::HasBridle>(
            context: &Context<'_, D>,
            saved: Option<(Weights, PretrainState)>,
            device: &B::Device,
        ) -> Result<Pretrained<D::Encoder<B>>, TrainError> {
            match context.plan.method {
                $($(Method::$variant => phases::run::<B, D, $method>(context, saved, device),)?)+
                method => unreachable!("`{method}` pretrains nothing"),
            }
        }
    };
}

methods! {
    Bridle: bridle::BRIDLE, D::Bridle<B>;
    BridleJoint: bridle::BRIDLE_JOINT, D::Bridle<B>;
    RandomInit: untrained::RANDOM_INIT;
    Scratch: untrained::SCRATCH;
    BestRq: best_rq::INFO, best_rq::BestRqMethod<B, D>;
    Birq: birq::INFO, birq::BirqMethod<B, D>;
    Relabel: relabel::INFO, relabel::RelabelMethod<B, D>;
    Init: untrained::INIT;
}
