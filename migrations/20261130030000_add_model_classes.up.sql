-- Classes of models, each with what it means now.
CREATE TABLE model_classes (
    uid                       uuid        PRIMARY KEY,
    namespace                 text        NOT NULL,
    name                      text        NOT NULL,
    generation                bigint      NOT NULL,
    enabled                   boolean     NOT NULL,
    is_active                 boolean     NOT NULL,
    conditions                jsonb       NOT NULL,
    verified_generation       bigint,
    verified_with             text[]      NOT NULL DEFAULT '{}',
    last_handled_reconcile_at text,
    created_at                timestamptz NOT NULL,
    updated_at                timestamptz NOT NULL DEFAULT now(),
    deleted_at                timestamptz,
    revision                  bigint      NOT NULL DEFAULT 0,
    declaration               jsonb       NOT NULL DEFAULT '{}',
    display_name              text,
    description               text,
    models                    text[]      NOT NULL,
    need                      jsonb,
    prefer                    text        NOT NULL,
    allow_deprecated          boolean     NOT NULL,
    current                   jsonb,
    candidates                integer     NOT NULL CHECK (candidates >= 0)
);
CREATE UNIQUE INDEX model_classes_live_name ON model_classes (namespace, name) WHERE deleted_at IS NULL;
CREATE INDEX model_classes_deleted ON model_classes (namespace COLLATE "C", name COLLATE "C", uid) WHERE deleted_at IS NOT NULL;
COMMENT ON COLUMN model_classes.current IS 'Names of the model and of the endpoint that it means now, for who asks with a key and may use every credential.';
COMMENT ON COLUMN model_classes.candidates IS 'How many models are what it asks for.';

GRANT SELECT, INSERT, UPDATE ON model_classes TO llmplane_controller;
GRANT SELECT ON model_classes TO llmplane_api;

-- A replica of an earlier release does not know the word: it serves what it has until it is replaced. No
-- class is stored before a controller of this release is there.
ALTER TABLE changes
    DROP CONSTRAINT changes_kind_check,
    ADD CONSTRAINT changes_kind_check CHECK (kind IN ('provider', 'endpoint', 'credential', 'model', 'modelclass', 'feed'));

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
    DELETE FROM public.model_classes WHERE uid = ANY (ARRAY (
        SELECT c.uid FROM public.model_classes c WHERE c.deleted_at < before AND c.revision < unheard LIMIT batch));
    GET DIAGNOSTICS n = ROW_COUNT;
    removed := removed + n;
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
