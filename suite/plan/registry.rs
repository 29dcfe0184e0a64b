//! What a plan consists of. A line in the list of sections makes the plan's field, its place in the
//! hashes, its checks and its defaults; each line's type says the rest in a file of its own. The
//! sections of protocols are in the list of protocols ([`crate::protocol`]).

use super::method::Method;
use super::recipe::Recipe;
use super::sections::{
    Augment, ColdStart, Data, Encoder, Esc50, Init, Joint, Mask, Position, Pretrain, Refine, Relabel, Section,
    SectionInfo, Test, check_some,
};
use crate::protocol::{self, Protocol};
use crate::quantizers::QuantizerConfig;
use bridle_baselines::birq::BirqConfig;
use bridle_values::check::Checked;
use serde::{Deserialize, Serialize};

/// Declares the plan.
macro_rules! plan {
    ($($section:ident: $type:ty,)+) => {
        /// Every value of a run. Sections that the method, the task or the protocols do not use are
        /// absent.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        pub struct Plan {
            /// The task's name.
            pub task: String,
            /// What trains the encoder.
            pub method: Method,
            /// The preset that the values came from: a name, not part of the hash.
            pub preset: String,
            /// The recipe that the values came from: a name, not part of the hash. Speech has none.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub recipe: Option<Recipe>,
            /// How the encoder is judged, in the order given.
            pub protocols: Vec<Protocol>,
            /// What makes the labels; none where nothing is pretrained.
            pub quantizer: Option<QuantizerConfig>,
            /// The weights that are started from, where they were given.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub init: Option<Init>,
            /// What the model sees.
            pub data: Data,
            /// Sizes of encoder, decoder and estimator.
            pub model: Encoder,
            $(#[serde(skip_serializing_if = "Option::is_none")] pub $section: Option<$type>,)+
            /// The values of the protocols.
            #[serde(flatten)]
            pub evaluation: protocol::Sections,
        }

        /// Sections in the order in which plans are printed, those of protocols left out.
        const SECTIONS: &[SectionInfo] = &[
            SectionInfo::of::<QuantizerConfig>("quantizer"),
            SectionInfo::of::<Init>("init"),
            SectionInfo::of::<Data>("data"),
            SectionInfo::of::<Encoder>("model"),
            $(SectionInfo::of::<$type>(stringify!($section)),)+
        ];

        impl Plan {
            /// Checks every value, and what must hold between them.
            ///
            /// # Errors
            /// Names the first value that is impossible, and what it must satisfy.
            pub(super) fn validate(&self) -> Checked {
                self.data.check(self)?;
                self.model.check(self)?;
                check_some(self.quantizer.as_ref(), self)?;
                $(check_some(self.$section.as_ref(), self)?;)+
                self.evaluation.check(self)
            }
        }
    };
}

plan! {
    position: Position,
    mask: Mask,
    pretrain: Pretrain,
    birq: BirqConfig,
    joint: Joint,
    cold_start: ColdStart,
    refine: Refine,
    relabel: Relabel,
    augment: Augment,
    test: Test,
    esc50: Esc50,
}

/// All sections, in the order in which plans are printed.
pub(super) fn sections() -> impl Iterator<Item = &'static SectionInfo> {
    SECTIONS.iter().chain(protocol::Sections::ALL)
}
