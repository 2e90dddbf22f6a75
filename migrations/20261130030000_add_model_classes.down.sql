CREATE OR REPLACE FUNCTION llmplane_fn.purge_deleted(batch integer) RETURNS bigint
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

DELETE FROM changes WHERE kind = 'modelclass';
ALTER TABLE changes
    DROP CONSTRAINT changes_kind_check,
    ADD CONSTRAINT changes_kind_check CHECK (kind IN ('provider', 'endpoint', 'credential', 'model', 'feed'));
DROP TABLE model_classes;
