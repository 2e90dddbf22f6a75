//! The laptop control plane.
