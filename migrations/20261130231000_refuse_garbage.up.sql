-- What no release writes and none can read is refused where no reconcile would write it anew: an unreadable
-- word has nothing to be emptied to, a row whose deletion never comes is in nobody's search, and the hosts of
-- a key version are not derived again.
DO $$
DECLARE
    kind text;
BEGIN
    FOREACH kind IN ARRAY ARRAY['providers', 'endpoints', 'credentials', 'models', 'model_classes'] LOOP
        EXECUTE format('UPDATE %I SET deleted_at = now() WHERE NOT isfinite(deleted_at)', kind);
        EXECUTE format('ALTER TABLE %I ADD CONSTRAINT %I CHECK (isfinite(deleted_at))', kind, kind || '_deleted_at_check');
    END LOOP;
END
$$;

UPDATE model_classes SET prefer = 'Order' WHERE prefer NOT IN ('Order', 'Price', 'Score', 'Context');
ALTER TABLE model_classes
    ADD CONSTRAINT model_classes_prefer_check CHECK (prefer IN ('Order', 'Price', 'Score', 'Context'));

UPDATE credential_versions
    SET allowed_hosts = array_remove(allowed_hosts, NULL), field_fingerprints = array_remove(field_fingerprints, NULL)
    WHERE array_position(allowed_hosts, NULL) IS NOT NULL OR array_position(field_fingerprints, NULL) IS NOT NULL;
ALTER TABLE credential_versions
    ADD CONSTRAINT credential_versions_allowed_hosts_check CHECK (array_position(allowed_hosts, NULL) IS NULL),
    ADD CONSTRAINT credential_versions_field_fingerprints_check CHECK (array_position(field_fingerprints, NULL) IS NULL);
