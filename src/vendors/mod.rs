//! Vendor drivers: one file a vendor, one HTTP layer, the SSRF guard and the catalog.
