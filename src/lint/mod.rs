//! The same verdict as the apiserver, offline, from nothing but the generated CRDs.
