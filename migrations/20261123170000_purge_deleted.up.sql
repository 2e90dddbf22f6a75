-- Neither account may delete objects. What was deleted long ago is removed for good by a function
-- alone, and an administrator says how long ago, as of the partitioned tables.
ALTER TABLE retention
    DROP CONSTRAINT retention_table_name_check,
    ADD CONSTRAINT retention_table_name_check CHECK (table_name IN ('health_probes', 'audit_log', 'deleted_objects'));
COMMENT ON TABLE retention IS 'How long probes, audit rows, and objects that were deleted are kept. An administrator may change it.';

CREATE OR REPLACE FUNCTION llmplane_fn.maintain_partitions() RETURNS integer
    LANGUAGE plpgsql
    SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    SET timezone = 'UTC'
AS $$
DECLARE
    made    integer := 0;
    parent  record;
    month   timestamptz;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('llmplane_fn.maintain_partitions'));
    FOR parent IN
        SELECT r.table_name, r.keep, CASE r.table_name WHEN 'health_probes' THEN 'checked_at' ELSE 'at' END AS time_column
        FROM public.retention r WHERE r.table_name IN ('health_probes', 'audit_log') ORDER BY r.table_name
    LOOP
        FOR ahead IN 0..3 LOOP
            month := date_trunc('month', now()) + make_interval(months => ahead);
            IF llmplane_fn.make_partition(parent.table_name, parent.time_column, month) THEN
                made := made + 1;
            END IF;
        END LOOP;
        PERFORM llmplane_fn.apply_retention(parent.table_name, parent.time_column, now() - parent.keep);
    END LOOP;
    RETURN made;
END
$$;

INSERT INTO retention (table_name, keep) VALUES ('deleted_objects', '30 days');

CREATE FUNCTION llmplane_fn.purge_deleted(batch integer) RETURNS bigint
    LANGUAGE plpgsql
    SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    before  timestamptz := now() - (SELECT keep FROM public.retention WHERE table_name = 'deleted_objects');
    -- Who resumes from a revision that the feed holds must find the row, to see that it is deleted.
    unheard bigint := (SELECT min(revision) FROM public.changes);
    removed bigint := 0;
    n       bigint;
BEGIN
    DELETE FROM public.listed_models WHERE ctid = ANY (ARRAY (
        SELECT l.ctid FROM public.listed_models l JOIN public.endpoints e ON e.uid = l.endpoint_uid
        WHERE e.deleted_at IS NOT NULL LIMIT batch));
    GET DIAGNOSTICS n = ROW_COUNT;
    removed := removed + n;
    DELETE FROM public.models WHERE uid = ANY (ARRAY (
        SELECT m.uid FROM public.models m WHERE m.deleted_at < before AND m.revision < unheard LIMIT batch));
    GET DIAGNOSTICS n = ROW_COUNT;
    removed := removed + n;
    DELETE FROM public.credential_versions WHERE ctid = ANY (ARRAY (
        SELECT v.ctid FROM public.credential_versions v JOIN public.credentials c ON c.uid = v.credential_uid
        WHERE (c.deleted_at < before AND c.revision < unheard)
            OR (v.state = 'Destroyed' AND v.since < before AND v.version < c.version) LIMIT batch));
    GET DIAGNOSTICS n = ROW_COUNT;
    removed := removed + n;
    DELETE FROM public.credentials WHERE uid = ANY (ARRAY (
        SELECT c.uid FROM public.credentials c WHERE c.deleted_at < before AND c.revision < unheard
            AND NOT EXISTS (SELECT FROM public.credential_versions v WHERE v.credential_uid = c.uid) LIMIT batch));
    GET DIAGNOSTICS n = ROW_COUNT;
    removed := removed + n;
    DELETE FROM public.endpoints WHERE uid = ANY (ARRAY (
        SELECT e.uid FROM public.endpoints e WHERE e.deleted_at < before AND e.revision < unheard
            AND NOT EXISTS (SELECT FROM public.listed_models l WHERE l.endpoint_uid = e.uid) LIMIT batch));
    GET DIAGNOSTICS n = ROW_COUNT;
    removed := removed + n;
    DELETE FROM public.providers WHERE uid = ANY (ARRAY (
        SELECT p.uid FROM public.providers p WHERE p.deleted_at < before AND p.revision < unheard
            AND NOT EXISTS (SELECT FROM public.endpoints x WHERE x.provider_uid = p.uid)
            AND NOT EXISTS (SELECT FROM public.credentials x WHERE x.provider_uid = p.uid)
            AND NOT EXISTS (SELECT FROM public.models x WHERE x.provider_uid = p.uid) LIMIT batch));
    GET DIAGNOSTICS n = ROW_COUNT;
    removed := removed + n;
    RETURN removed;
END
$$;
COMMENT ON FUNCTION llmplane_fn.purge_deleted(integer) IS 'Removes objects and key versions that were deleted longer ago than the retention, and the model lists of deleted endpoints; at most batch rows of each table. Answers how many.';
REVOKE ALL ON FUNCTION llmplane_fn.purge_deleted(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION llmplane_fn.purge_deleted(integer) TO llmplane_controller;
