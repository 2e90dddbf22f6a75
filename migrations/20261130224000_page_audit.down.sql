CREATE INDEX audit_log_namespace_old ON audit_log (namespace, seq DESC);
CREATE INDEX audit_log_credential_old ON audit_log (object_uid, seq DESC);
CREATE INDEX audit_log_holders_old ON audit_log (object_uid, actor, coalesce(pod_uid, ''), seq DESC)
    WHERE action = 'Disclose' AND result = 'Disclosed';
DROP INDEX audit_log_namespace, audit_log_credential, audit_log_holders;
ALTER INDEX audit_log_namespace_old RENAME TO audit_log_namespace;
ALTER INDEX audit_log_credential_old RENAME TO audit_log_credential;
ALTER INDEX audit_log_holders_old RENAME TO audit_log_holders;
