//! Desired state: one folder a kind, one file a phase; the sweep; the wiring.
