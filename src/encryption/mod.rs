//! Keys at rest: keyring, envelope, masking, fingerprint. Knows nobody.
