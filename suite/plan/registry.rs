//! What a plan consists of: the list of protocols and that of sections. A line in one of them makes
//! the plan's field, the place in the hashes, the checks and the defaults; each line's type says
//! the rest in a file of its own.

use super::choice::Recipe;
use super::choice::choices;
use super::method::{Method, Takes};
use super::sections::{
    Augment, ColdStart, Data, Decoding, Encoder, Esc50, Finetune, Init, Joint, Judging, Knn, Mask, Position, Pretrain,
    Probe, Refine, Relabel, Section, SectionInfo, Taught, Test, check_some,
};
use crate::quantizers::QuantizerConfig;
use bridle_baselines::birq::BirqConfig;
use bridle_values::check::Checked;
use serde::{Deserialize, Serialize};

/// Declares the plan and the protocols.
macro_rules! plan {
    (sections { $($section:ident: $type:ty,)+ }
     protocols { $($(#[doc = $doc:literal])* $variant:ident = $word:literal, $values:ident: $of:ty,)+ }
     for_protocols { $($shared:ident: $by:ty,)+ }) => {
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
            $(#[serde(skip_serializing_if = "Option::is_none")] pub $values: Option<$of>,)+
            $(#[serde(skip_serializing_if = "Option::is_none")] pub $shared: Option<$by>,)+
        }

        choices! {
            /// How a trained encoder is judged.
            "protocol" Protocol { $($(#[doc = $doc])* $variant = $word,)+ }
        }

        impl Protocol {
            /// The section of the plan that holds its values.
            pub const fn section(self) -> &'static str {
                match self { $(Self::$variant => stringify!($values)),+ }
            }

            /// Whether it trains the encoder on.
            pub const fn trains_encoder(self) -> bool {
                match self { $(Self::$variant => <$of as Judging>::TRAINS_ENCODER),+ }
            }

            /// The data whose encoders it judges.
            pub const fn takes(self) -> Takes {
                match self { $(Self::$variant => <$of as Judging>::TAKES),+ }
            }
        }

        /// All sections, in the order in which plans are printed.
        pub(super) const SECTIONS: &[SectionInfo] = &[
            SectionInfo::of::<QuantizerConfig>("quantizer"),
            SectionInfo::of::<Init>("init"),
            SectionInfo::of::<Data>("data"),
            SectionInfo::of::<Encoder>("model"),
            $(SectionInfo::of::<$type>(stringify!($section)),)+
            $(SectionInfo::of::<$of>(stringify!($values)),)+
            $(SectionInfo::of::<$by>(stringify!($shared)),)+
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
                $(check_some(self.$values.as_ref(), self)?;)+
                $(check_some(self.$shared.as_ref(), self)?;)+
                Ok(())
            }
        }
    };
}

plan! {
    sections {
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
    protocols {
        /// a linear classifier on frozen, mean-pooled features
        LinearProbe = "linear-probe", probe: Taught<Probe>,
        /// the classes of the nearest training samples, by cosine of the same features
        Knn = "knn", knn: Knn,
        /// the whole encoder and a head, trained on the classes
        Finetune = "finetune", finetune: Taught<Finetune>,
    }
    for_protocols {
        decoding: Decoding,
    }
}
