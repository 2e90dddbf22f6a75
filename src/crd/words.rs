//! Enums of plain words. The word is the variant's name, as serde writes it; strum makes all that is
//! said of it here.

/// Gives an enum of words `ALL`, `as_str`, `parse` and `Display`. It derives strum's `EnumCount`, `EnumString`,
/// `IntoStaticStr` and `VariantArray`.
macro_rules! words {
    ($($enum:ty),+ $(,)?) => {$(
        impl $enum {
            /// All of them, in their order.
            pub const ALL: [Self; <Self as strum::EnumCount>::COUNT] =
                match <Self as strum::VariantArray>::VARIANTS.first_chunk() {
                    Some(all) => *all,
                    None => panic!("there are as many variants as variants"),
                };

            /// The word that stands for it wherever it is written.
            pub fn as_str(self) -> &'static str {
                self.into()
            }

            /// The one of this word, if there is one.
            pub fn parse(word: &str) -> Option<Self> {
                word.parse().ok()
            }
        }

        impl std::fmt::Display for $enum {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    )+};
}
pub(crate) use words;

#[cfg(test)]
mod tests {
    use crate::crd::credential::{QuotaPeriod, QuotaUnit, VersionState};
    use crate::crd::model::{Capability, Lifecycle, ModelType};
    use crate::crd::model_class::Preferred;
    use crate::crd::{Kind, ProviderType};

    #[test]
    fn a_word_is_what_serde_writes_and_is_read_back() {
        macro_rules! holds {
            ($($enum:ty),+) => {$(
                for one in <$enum>::ALL {
                    assert_eq!(serde_json::json!(one), one.as_str());
                    assert_eq!(<$enum>::parse(one.as_str()), Some(one));
                }
                assert_eq!(<$enum>::parse("Stolen"), None);
            )+};
        }
        holds!(
            Kind,
            ProviderType,
            ModelType,
            Lifecycle,
            Capability,
            Preferred,
            VersionState,
            QuotaUnit,
            QuotaPeriod
        );
    }
}
