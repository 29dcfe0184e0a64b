//! What an entry of the list of protocols makes: a variant of the enum, a section of the plan, and
//! the way from one to the other.

/// Declares the protocols, and the sections that several of them share.
macro_rules! protocols {
    (protocols { $($(#[doc = $doc:literal])* $variant:ident = $word:literal, $section:ident: $values:ty;)+ }
     shared { $($shared:ident: $common:ty;)* }) => {
        bridle_values::choices! {
            /// How a trained encoder is evaluated.
            "protocol" Protocol { $($(#[doc = $doc])* $variant = $word,)+ }
        }

        impl Protocol {
            /// The section of the plan that holds its values.
            pub const fn section(self) -> &'static str {
                match self { $(Self::$variant => stringify!($section)),+ }
            }

            /// Whether it trains the encoder.
            pub const fn trains_encoder(self) -> bool {
                match self { $(Self::$variant => <$values as $crate::plan::Judging>::TRAINS_ENCODER),+ }
            }

            /// Whether a vector of each sample is all that it needs.
            pub const fn takes_vectors(self) -> bool {
                match self { $(Self::$variant => <$values as $crate::plan::Judging>::TAKES_VECTORS),+ }
            }

            /// Whether ranks can share its work.
            pub const fn over_ranks(self) -> bool {
                match self { $(Self::$variant => <$values as $crate::plan::Judging>::OVER_RANKS),+ }
            }

            /// What messages call the samples that ranks share in a step of its training.
            pub fn batch_in_words(self) -> String {
                format!("samples of a batch ({}.batch)", self.section())
            }

            /// Samples of a step that ranks share; None where it does not train by such steps, or the
            /// plan does not have it.
            pub fn shared_batch(self, sections: &Sections) -> Option<usize> {
                match self {
                    $(Self::$variant => sections.$section.as_ref().and_then($crate::plan::Judging::shared_batch)),+
                }
            }

            /// The data that it takes.
            pub const fn takes(self) -> $crate::plan::Takes {
                match self { $(Self::$variant => <$values as $crate::plan::Judging>::TAKES),+ }
            }

            /// Whether it fits this method's encoder.
            pub fn fits(self, method: $crate::plan::Method) -> bool {
                use $crate::plan::method::JudgedBy;
                match method.info().judged_by {
                    JudgedBy::Any => true,
                    JudgedBy::Frozen => !self.trains_encoder(),
                    JudgedBy::Trained => self.trains_encoder(),
                    JudgedBy::Vectors => self.takes_vectors(),
                }
            }

            /// Those that fit this method's encoder.
            pub fn fitting(method: $crate::plan::Method) -> impl Iterator<Item = Self> {
                Self::ALL.iter().copied().filter(move |protocol| protocol.fits(method))
            }

            /// Its values among these. Panics if the plan does not have the protocol.
            fn values<B: TrainBackend>(self, sections: &Sections) -> &dyn Evaluate<B> {
                match self {
                    $(Self::$variant => sections.$section.as_ref().expect("a plan has its protocols' values")),+
                }
            }
        }

        /// The sections of a plan that hold the values of its protocols.
        #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
        pub struct Sections {
            $(#[serde(skip_serializing_if = "Option::is_none")] pub $section: Option<$values>,)+
            $(#[serde(skip_serializing_if = "Option::is_none")] pub $shared: Option<$common>,)*
        }

        impl Sections {
            /// All of them, in the order in which plans are printed.
            pub(crate) const ALL: &'static [$crate::plan::SectionInfo] = &[
                $($crate::plan::SectionInfo::of::<$values>(stringify!($section)),)+
                $($crate::plan::SectionInfo::of::<$common>(stringify!($shared)),)*
            ];

            /// Checks those that the plan has.
            pub(crate) fn check(&self, plan: &$crate::plan::Core) -> bridle_values::check::Checked {
                $($crate::plan::check_some(self.$section.as_ref(), plan)?;)+
                $($crate::plan::check_some(self.$shared.as_ref(), plan)?;)*
                Ok(())
            }
        }
    };
}
pub(super) use protocols;
