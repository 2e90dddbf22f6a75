SELECT llmplane_fn.flush_audit_outbox(2147483647);
DROP INDEX audit_log_holders;
ALTER TABLE credential_versions DROP COLUMN field_fingerprints;
DROP TRIGGER audit_version_change ON credential_versions;
DROP FUNCTION llmplane_fn.flush_audit_outbox(integer);
DROP FUNCTION llmplane_fn.audit_version_change();
DROP TABLE audit_outbox;
