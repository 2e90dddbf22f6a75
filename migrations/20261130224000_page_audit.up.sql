-- Rows of the audit are appended at the right end of what is asked for together, and read from there: an index in the
-- order of positions grows at the end of each of its groups, and is read backwards. One in the opposite order split its
-- pages in the middle of the busiest group. The new ones are built before the old ones go: rows are read meanwhile, and
-- none is added.

CREATE INDEX audit_log_namespace_new ON audit_log (namespace, seq);
CREATE INDEX audit_log_credential_new ON audit_log (object_uid, seq);
-- Who was given which version: everyone who has a version that was found where it should not be, and who has which one.
CREATE INDEX audit_log_holders_new ON audit_log (object_uid, credential_version, actor, coalesce(pod_uid, ''), seq)
    WHERE action = 'Disclose' AND result = 'Disclosed';
DROP INDEX audit_log_namespace, audit_log_credential, audit_log_holders;
ALTER INDEX audit_log_namespace_new RENAME TO audit_log_namespace;
ALTER INDEX audit_log_credential_new RENAME TO audit_log_credential;
ALTER INDEX audit_log_holders_new RENAME TO audit_log_holders;
