//! Why a model, or a credential, was passed over. Clients may rely on these words: one is never
//! renamed, and never given another meaning.

macro_rules! words {
    ($(#[$doc:meta])* $type:ident { $($(#[$word_doc:meta])* $word:ident,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $type { $($(#[$word_doc])* $word,)+ }

        impl $type {
            /// All of them, in the order in which they are looked at.
            pub const ALL: &'static [Self] = &[$(Self::$word,)+];

            /// The word that stands in answers.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$word => stringify!($word),)+ }
            }
        }
    };
}

words! {
    /// Why a model was passed over: the first that holds, in this order. One that comes later in it
    /// came nearer to what was asked for.
    Reason {
        /// A class names it, and there is no such model.
        NotFound,
        /// The request excludes it.
        Excluded,
        /// It, or its provider, is switched off.
        Inactive,
        /// Its end has come.
        Retired,
        /// `lifecycle: Maintenance`.
        UnderMaintenance,
        /// `lifecycle: Deprecated`, and the request does not allow that.
        Deprecated,
        /// Its provider is of none of the types asked for.
        ProviderTypeMismatch,
        /// It lacks a label asked for.
        SelectorMismatch,
        /// It is not recommended for a task asked for.
        NotRecommended,
        /// It cannot do a thing asked for.
        CapabilityMissing,
        /// It does not take, or not give, a form asked for, or nobody said that it does.
        ModalityMissing,
        /// It answers vectors of another length than asked for, or of one that is not known.
        EmbeddingDimensionsMismatch,
        /// Nobody said how well it does a thing for which a score is asked for.
        ScoreUnknown,
        /// It scores less than asked for.
        ScoreTooLow,
        /// Its context window is not known.
        ContextWindowUnknown,
        /// Its context window is smaller than asked for.
        ContextWindowTooSmall,
        /// How many tokens it answers at most is not known.
        OutputTokensUnknown,
        /// It answers fewer tokens than asked for.
        OutputTokensTooFew,
        /// Its prices are in another currency than the one asked for, or than those of the answer.
        CurrencyMismatch,
        /// A price for which a limit is given is not known.
        PriceUnknown,
        /// It costs more than allowed.
        PriceTooHigh,
        /// The vendor does not offer it, or not to this account.
        Unavailable,
        /// No active endpoint serves it.
        NoEndpoint,
        /// It is served in none of the regions asked for.
        RegionMismatch,
        /// A key is asked for, and there is none that fits.
        NoCredential,
        /// No endpoint that serves it answers, and another model's does.
        EndpointsUnhealthy,
        /// It would do, and another comes first.
        LessPreferred,
        /// It is one of several that the name may mean.
        Ambiguous,
    }
}

words! {
    /// Why a target has no credential: of the credentials that there are, what stands in the way of
    /// the one that came nearest.
    CredentialReason {
        /// There is none.
        NoCredential,
        /// It is for other endpoints.
        NotForEndpoint,
        /// It holds no key that can be used.
        NoKey,
        /// Its Secret's owner has not allowed this endpoint's host.
        HostNotAllowed,
        /// It, or its provider, is switched off.
        Inactive,
        /// It has expired.
        Expired,
        /// The vendor refuses its key.
        Invalid,
        /// Its quota at the vendor is used up.
        QuotaExhausted,
    }
}
