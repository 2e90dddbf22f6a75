-- What is done with key versions is audited wherever it is done from: rows wait here, in the same
-- transaction, and move into the chain right after it, for the lock of the chain's head is not to be
-- held by whoever has more to do.
CREATE TABLE audit_outbox (
    id    bigint      PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    entry jsonb       NOT NULL CHECK (coalesce(entry ->> 'action', '') NOT IN ('', 'Disclose', 'Prune'))
);
COMMENT ON TABLE audit_outbox IS 'Rows of the audit that are committed and not in the chain yet.';

CREATE FUNCTION llmplane_fn.audit_version_change() RETURNS trigger
    LANGUAGE plpgsql
    SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    done  text;
    whose public.credentials;
BEGIN
    IF TG_OP = 'UPDATE' AND OLD.state IS NOT DISTINCT FROM NEW.state THEN
        RETURN NULL;
    END IF;
    done := CASE
        WHEN NEW.state = 'Destroyed' THEN 'Revoke'
        -- The first key of a credential replaces none.
        WHEN NEW.state = 'Current' AND NEW.version > 1 THEN 'Rotate'
    END;
    IF done IS NULL THEN
        RETURN NULL;
    END IF;
    SELECT * INTO whose FROM public.credentials c WHERE c.uid = NEW.credential_uid;
    INSERT INTO public.audit_outbox (entry) VALUES (jsonb_build_object(
        'action', done, 'result', 'Done', 'actor', 'llmplane-controller', 'kind', 'LlmCredential',
        'namespace', whose.namespace, 'name', whose.name, 'object_uid', NEW.credential_uid,
        'credential_version', NEW.version, 'fingerprint', NEW.fingerprint,
        'detail', jsonb_build_object('state_before', CASE WHEN TG_OP = 'UPDATE' THEN OLD.state END)));
    RETURN NULL;
END
$$;
CREATE TRIGGER audit_version_change AFTER INSERT OR UPDATE OF state ON credential_versions
    FOR EACH ROW EXECUTE FUNCTION llmplane_fn.audit_version_change();

CREATE FUNCTION llmplane_fn.flush_audit_outbox(batch integer) RETURNS integer
    LANGUAGE plpgsql
    SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    SET lock_timeout = '500ms'
AS $$
DECLARE
    head    public.audit_head;
    waiting record;
    flushed integer := 0;
BEGIN
    IF NOT EXISTS (SELECT FROM public.audit_outbox) THEN
        RETURN 0;
    END IF;
    head := llmplane_fn.lock_audit_head();
    FOR waiting IN SELECT id, at, entry FROM public.audit_outbox ORDER BY id LIMIT batch FOR UPDATE LOOP
        head := llmplane_fn.append_audit_row(head, jsonb_set(waiting.entry, '{detail, done_at}', to_jsonb(waiting.at)));
        DELETE FROM public.audit_outbox WHERE id = waiting.id;
        flushed := flushed + 1;
    END LOOP;
    PERFORM llmplane_fn.store_audit_head(head);
    RETURN flushed;
END
$$;
COMMENT ON FUNCTION llmplane_fn.flush_audit_outbox(integer) IS 'Moves rows that wait into the chain, in the order in which they came. Answers how many.';

-- A leaked string may be one of several fields of a key.
ALTER TABLE credential_versions ADD COLUMN field_fingerprints text[] NOT NULL DEFAULT '{}';
COMMENT ON COLUMN credential_versions.field_fingerprints IS 'A fingerprint of each field of the key by itself: whose a leaked string is shows by them.';

-- Who holds which version of a key is found by skipping from holder to holder.
CREATE INDEX audit_log_holders ON audit_log (object_uid, actor, coalesce(pod_uid, ''), seq DESC)
    WHERE action = 'Disclose' AND result = 'Disclosed';

REVOKE ALL ON FUNCTION llmplane_fn.audit_version_change(), llmplane_fn.flush_audit_outbox(integer) FROM PUBLIC;
GRANT INSERT, SELECT ON audit_outbox TO llmplane_controller;
GRANT EXECUTE ON FUNCTION llmplane_fn.flush_audit_outbox(integer) TO llmplane_controller;
