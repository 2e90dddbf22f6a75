CREATE OR REPLACE FUNCTION llmplane_fn.audit_hash(entry public.audit_log) RETURNS bytea
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    hashed text := 'audit-row/1';
    field  text;
BEGIN
    FOREACH field IN ARRAY ARRAY[
        encode(entry.previous_hash, 'hex'),
        entry.seq::text,
        (extract(epoch FROM entry.at) * 1000000)::bigint::text,
        entry.action,
        entry.result,
        entry.actor,
        entry.actor_uid,
        cardinality(entry.actor_groups)::text
    ] || entry.actor_groups || ARRAY[
        entry.pod,
        entry.pod_uid,
        entry.node,
        entry.token_id,
        entry.namespace,
        entry.kind,
        entry.name,
        entry.object_uid::text,
        entry.credential_version::text,
        entry.fingerprint,
        entry.purpose,
        entry.count::text,
        entry.detail::text
    ] LOOP
        hashed := hashed || llmplane_fn.audit_field(field);
    END LOOP;
    RETURN sha256(convert_to(hashed, 'UTF8'));
END
$$;

CREATE OR REPLACE FUNCTION llmplane_fn.append_audit_row(head public.audit_head, item jsonb) RETURNS public.audit_head
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    entry public.audit_log;
BEGIN
    head.seq := head.seq + 1;
    -- Time that does not go back within the chain, whatever the clock does.
    head.at := greatest(clock_timestamp(), head.at);
    entry.at := head.at;
    entry.seq := head.seq;
    entry.action := item ->> 'action';
    entry.result := item ->> 'result';
    entry.actor := left(item ->> 'actor', 512);
    entry.actor_uid := left(item ->> 'actor_uid', 128);
    entry.actor_groups := ARRAY (SELECT left(value, 256) FROM jsonb_array_elements_text(
        coalesce(nullif(item -> 'actor_groups', 'null'), '[]')) LIMIT 64);
    entry.pod := left(item ->> 'pod', 256);
    entry.pod_uid := left(item ->> 'pod_uid', 128);
    entry.node := left(item ->> 'node', 256);
    entry.token_id := left(item ->> 'token_id', 256);
    entry.namespace := left(item ->> 'namespace', 256);
    entry.kind := left(item ->> 'kind', 64);
    entry.name := left(item ->> 'name', 256);
    entry.object_uid := (item ->> 'object_uid')::uuid;
    entry.credential_version := (item ->> 'credential_version')::integer;
    entry.fingerprint := left(item ->> 'fingerprint', 128);
    entry.purpose := left(item ->> 'purpose', 256);
    entry.count := coalesce((item ->> 'count')::integer, 1);
    entry.detail := coalesce(nullif(item -> 'detail', 'null'), '{}');
    entry.previous_hash := head.hash;
    entry.hash := llmplane_fn.audit_hash(entry);
    head.hash := entry.hash;
    INSERT INTO public.audit_log SELECT (entry).*;
    RETURN head;
END
$$;

CREATE OR REPLACE FUNCTION llmplane_fn.append_audit(batch jsonb) RETURNS bigint
    LANGUAGE plpgsql
    SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    head public.audit_head;
    item jsonb;
BEGIN
    head := llmplane_fn.lock_audit_head();
    FOR item IN SELECT value FROM jsonb_array_elements(batch) LOOP
        -- What was given out is said by record_disclosures alone.
        IF item ->> 'action' = 'Disclose' AND item ->> 'result' = 'Disclosed' THEN
            RAISE EXCEPTION 'a disclosure is recorded by record_disclosures' USING ERRCODE = 'check_violation';
        END IF;
        head := llmplane_fn.append_audit_row(head, item);
    END LOOP;
    PERFORM llmplane_fn.store_audit_head(head);
    RETURN head.seq;
END
$$;

CREATE OR REPLACE FUNCTION llmplane_fn.record_disclosures(batch jsonb)
    RETURNS TABLE (item integer, verdict text, valid_until timestamptz, retry_after_seconds integer)
    LANGUAGE plpgsql
    SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    head       public.audit_head;
    asked      record;
    credential public.credentials;
    version    public.credential_versions;
    is_swept   boolean;
    -- Read once, behind the lock: all of a batch is judged by one clock.
    moment     timestamptz;
    starts     timestamptz;
    already    bigint;
BEGIN
    head := llmplane_fn.lock_audit_head();
    moment := clock_timestamp();
    is_swept := EXISTS (SELECT FROM public.swept_database WHERE marker = llmplane_fn.database_marker());
    FOR asked IN SELECT ordinality::integer - 1 AS number, value FROM jsonb_array_elements(batch) WITH ORDINALITY LOOP
        item := asked.number;
        valid_until := NULL;
        retry_after_seconds := NULL;
        SELECT * INTO credential FROM public.credentials c WHERE c.uid = (asked.value ->> 'object_uid')::uuid;
        SELECT * INTO version FROM public.credential_versions v
            WHERE v.credential_uid = credential.uid AND v.version = (asked.value ->> 'credential_version')::integer;
        verdict := CASE
            WHEN NOT is_swept THEN 'NotSweptYet'
            WHEN credential.uid IS NULL OR credential.deleted_at IS NOT NULL THEN 'Gone'
            WHEN NOT credential.is_active THEN 'Disabled'
            WHEN credential.expires_at <= moment THEN 'Expired'
            WHEN version.version IS NULL OR version.fingerprint IS DISTINCT FROM (asked.value ->> 'fingerprint')
                OR NOT (version.state = 'Current' OR version.state = 'Previous' AND version.grace_until > moment)
                THEN 'Superseded'
            WHEN credential.conditions @> '[{"type": "Valid", "status": "False"}]' THEN 'Invalid'
            ELSE 'Disclosed'
        END;
        IF verdict = 'Disclosed' AND credential.quota_unit = 'Disclosures' AND credential.quota_limit IS NOT NULL THEN
            starts := llmplane_fn.quota_period_start(credential.quota_period, moment);
            INSERT INTO public.disclosure_counts AS d VALUES (credential.uid, starts, 0)
                ON CONFLICT (credential_uid) DO UPDATE
                    -- A clock that was set back begins no new period; a longer period that a change of the
                    -- quota made begins with what was given out in it before.
                    SET used = CASE WHEN excluded.period_start > d.period_start THEN 0 ELSE d.used END,
                        period_start = greatest(d.period_start, excluded.period_start)
                RETURNING d.used, d.period_start INTO already, starts;
            IF already >= credential.quota_limit THEN
                verdict := 'QuotaExhausted';
                retry_after_seconds := greatest(1, ceil(extract(epoch FROM
                    (starts AT TIME ZONE 'UTC' + ('1 ' || credential.quota_period)::interval) AT TIME ZONE 'UTC' - moment)));
            ELSE
                UPDATE public.disclosure_counts d SET used = d.used + 1 WHERE d.credential_uid = credential.uid;
            END IF;
        END IF;
        IF verdict = 'Disclosed' THEN
            valid_until := least(credential.expires_at, CASE WHEN version.state = 'Previous' THEN version.grace_until END);
        END IF;
        head := llmplane_fn.append_audit_row(head, asked.value || jsonb_build_object(
            'action', 'Disclose', 'result', verdict, 'kind', 'LlmCredential',
            'namespace', coalesce(credential.namespace, asked.value ->> 'namespace'),
            'name', coalesce(credential.name, asked.value ->> 'name')));
        RETURN NEXT;
    END LOOP;
    PERFORM llmplane_fn.store_audit_head(head);
END
$$;

DROP FUNCTION llmplane_fn.append_audit_rows(public.audit_head, jsonb[]);
