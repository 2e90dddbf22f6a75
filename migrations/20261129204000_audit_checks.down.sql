REVOKE SELECT ON keyring_check FROM llmplane_api;
DROP INDEX credential_versions_fingerprint;
DROP FUNCTION llmplane_fn.audit_checks();
DROP TABLE audited_checks;
