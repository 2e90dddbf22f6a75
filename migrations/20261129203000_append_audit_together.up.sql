-- Many rows cost little more than one: they are read, hashed and inserted together. What a row holds and
-- how it is hashed stay as they are.
CREATE OR REPLACE FUNCTION llmplane_fn.audit_hash(entry public.audit_log) RETURNS bytea
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    previous text := encode(entry.previous_hash, 'hex');
    seq      text := entry.seq;
    moment   text := (extract(epoch FROM entry.at) * 1000000)::bigint;
    uid      text := entry.object_uid;
    version  text := entry.credential_version;
    count    text := entry.count;
    detail   text := entry.detail;
    groups   text := '';
    one      text;
BEGIN
    FOREACH one IN ARRAY entry.actor_groups LOOP
        groups := groups || coalesce(octet_length(one) || ':' || one, '-');
    END LOOP;
    RETURN sha256(convert_to('audit-row/1'
        || octet_length(previous) || ':' || previous
        || octet_length(seq) || ':' || seq
        || octet_length(moment) || ':' || moment
        || octet_length(entry.action) || ':' || entry.action
        || octet_length(entry.result) || ':' || entry.result
        || octet_length(entry.actor) || ':' || entry.actor
        || coalesce(octet_length(entry.actor_uid) || ':' || entry.actor_uid, '-')
        || octet_length(cardinality(entry.actor_groups)::text) || ':' || cardinality(entry.actor_groups) || groups
        || coalesce(octet_length(entry.pod) || ':' || entry.pod, '-')
        || coalesce(octet_length(entry.pod_uid) || ':' || entry.pod_uid, '-')
        || coalesce(octet_length(entry.node) || ':' || entry.node, '-')
        || coalesce(octet_length(entry.token_id) || ':' || entry.token_id, '-')
        || coalesce(octet_length(entry.namespace) || ':' || entry.namespace, '-')
        || coalesce(octet_length(entry.kind) || ':' || entry.kind, '-')
        || coalesce(octet_length(entry.name) || ':' || entry.name, '-')
        || coalesce(octet_length(uid) || ':' || uid, '-')
        || coalesce(octet_length(version) || ':' || version, '-')
        || coalesce(octet_length(entry.fingerprint) || ':' || entry.fingerprint, '-')
        || coalesce(octet_length(entry.purpose) || ':' || entry.purpose, '-')
        || octet_length(count) || ':' || count
        || octet_length(detail) || ':' || detail, 'UTF8'));
END
$$;

-- Appends rows behind this head, and answers the new head. Who calls it holds the head's lock.
CREATE FUNCTION llmplane_fn.append_audit_rows(head public.audit_head, items jsonb[]) RETURNS public.audit_head
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    entry   public.audit_log;
    entries public.audit_log[] := '{}';
BEGIN
    -- Time that does not go back within the chain, whatever the clock does.
    head.at := greatest(clock_timestamp(), head.at);
    FOR entry IN
        SELECT head.at, head.seq + i.place, said.action, left(said.actor, 512), left(said.namespace, 256),
            left(said.kind, 64), left(said.name, 256), said.object_uid, said.credential_version,
            left(said.fingerprint, 128), left(said.purpose, 256), said.result,
            coalesce(nullif(said.detail, 'null'), '{}'), NULL::bytea, NULL::bytea, left(said.actor_uid, 128),
            ARRAY (SELECT left(g.name, 256) FROM unnest(said.actor_groups) WITH ORDINALITY AS g (name, place)
                   WHERE g.name IS NOT NULL ORDER BY g.place LIMIT 64),
            left(said.pod, 256), left(said.pod_uid, 128), left(said.node, 256), left(said.token_id, 256),
            coalesce(said.count, 1)
        FROM unnest(items) WITH ORDINALITY AS i (item, place),
            jsonb_to_record(i.item) AS said (action text, actor text, namespace text, kind text, name text,
                object_uid uuid, credential_version integer, fingerprint text, purpose text, result text,
                detail jsonb, actor_uid text, actor_groups text[], pod text, pod_uid text, node text,
                token_id text, count integer)
        ORDER BY i.place
    LOOP
        entry.previous_hash := head.hash;
        entry.hash := llmplane_fn.audit_hash(entry);
        head.seq := entry.seq;
        head.hash := entry.hash;
        entries := entries || entry;
    END LOOP;
    INSERT INTO public.audit_log SELECT * FROM unnest(entries);
    RETURN head;
END
$$;

CREATE OR REPLACE FUNCTION llmplane_fn.append_audit_row(head public.audit_head, item jsonb) RETURNS public.audit_head
    LANGUAGE sql
    SET search_path = pg_catalog, pg_temp
AS $$ SELECT llmplane_fn.append_audit_rows(head, ARRAY[item]) $$;

CREATE OR REPLACE FUNCTION llmplane_fn.append_audit(batch jsonb) RETURNS bigint
    LANGUAGE plpgsql
    SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    head public.audit_head;
BEGIN
    -- What was given out is said by record_disclosures alone, what the retention removed by prune_audit.
    IF EXISTS (SELECT FROM jsonb_array_elements(batch) AS b (item)
               WHERE b.item ->> 'action' = 'Disclose' AND b.item ->> 'result' = 'Disclosed'
                  OR b.item ->> 'action' = 'Prune') THEN
        RAISE EXCEPTION 'a disclosure is recorded by record_disclosures, and a removal by prune_audit' USING ERRCODE = 'check_violation';
    END IF;
    head := llmplane_fn.lock_audit_head();
    head := llmplane_fn.append_audit_rows(head, ARRAY (
        SELECT b.item FROM jsonb_array_elements(batch) WITH ORDINALITY AS b (item, place) ORDER BY b.place));
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
    head     public.audit_head;
    asked    record;
    is_swept boolean;
    -- Read once, behind the lock: all of a batch is judged by one clock.
    moment   timestamptz;
    starts   timestamptz;
    already  bigint;
    rows     jsonb[] := '{}';
BEGIN
    head := llmplane_fn.lock_audit_head();
    moment := clock_timestamp();
    is_swept := EXISTS (SELECT FROM public.swept_database WHERE marker = llmplane_fn.database_marker());
    FOR asked IN
        SELECT b.place::integer - 1 AS number, b.item AS request, c.uid, c.namespace, c.name,
            c.quota_limit, c.quota_period, c.quota_unit = 'Disclosures' AS has_quota,
            least(c.expires_at, v.grace_until) AS ends,
            CASE
                WHEN NOT is_swept THEN 'NotSweptYet'
                WHEN c.uid IS NULL OR c.deleted_at IS NOT NULL THEN 'Gone'
                WHEN NOT c.is_active THEN 'Disabled'
                WHEN c.expires_at <= moment THEN 'Expired'
                WHEN v.version IS NULL OR v.fingerprint IS DISTINCT FROM (b.item ->> 'fingerprint')
                    -- One that the Secret holds no more, or that another has replaced, ends with its grace.
                    OR v.state NOT IN ('Current', 'Previous')
                    OR NOT coalesce(v.grace_until > moment, v.state = 'Current')
                    THEN 'Superseded'
                -- A Secret whose entry is gone or malformed leaves the key in use for its grace.
                WHEN EXISTS (SELECT FROM jsonb_array_elements(c.conditions) AS said (condition)
                    WHERE condition ->> 'type' = 'Valid' AND condition ->> 'status' = 'False'
                      AND condition ->> 'reason' NOT IN ('SecretFieldMissing', 'KeyMalformed')) THEN 'Invalid'
                ELSE 'Disclosed'
            END AS decided
        FROM jsonb_array_elements(batch) WITH ORDINALITY AS b (item, place)
        LEFT JOIN public.credentials c ON c.uid = (b.item ->> 'object_uid')::uuid
        LEFT JOIN public.credential_versions v
            ON v.credential_uid = c.uid AND v.version = (b.item ->> 'credential_version')::integer
        ORDER BY b.place
    LOOP
        item := asked.number;
        verdict := asked.decided;
        valid_until := NULL;
        retry_after_seconds := NULL;
        IF verdict = 'Disclosed' AND asked.has_quota THEN
            starts := llmplane_fn.quota_period_start(asked.quota_period, moment);
            INSERT INTO public.disclosure_counts AS d VALUES (asked.uid, starts, 0)
                ON CONFLICT (credential_uid) DO UPDATE
                    -- A clock that was set back begins no new period; a longer period that a change of the
                    -- quota made begins with what was given out in it before.
                    SET used = CASE WHEN excluded.period_start > d.period_start THEN 0 ELSE d.used END,
                        period_start = greatest(d.period_start, excluded.period_start)
                RETURNING d.used, d.period_start INTO already, starts;
            IF already >= asked.quota_limit THEN
                verdict := 'QuotaExhausted';
                retry_after_seconds := greatest(1, ceil(extract(epoch FROM
                    (starts AT TIME ZONE 'UTC' + ('1 ' || asked.quota_period)::interval) AT TIME ZONE 'UTC' - moment)));
            ELSE
                UPDATE public.disclosure_counts d SET used = d.used + 1 WHERE d.credential_uid = asked.uid;
            END IF;
        END IF;
        IF verdict = 'Disclosed' THEN
            valid_until := asked.ends;
        END IF;
        rows := rows || (asked.request || jsonb_build_object(
            'action', 'Disclose', 'result', verdict, 'kind', 'LlmCredential',
            'namespace', coalesce(asked.namespace, asked.request ->> 'namespace'),
            'name', coalesce(asked.name, asked.request ->> 'name')));
        RETURN NEXT;
    END LOOP;
    head := llmplane_fn.append_audit_rows(head, rows);
    PERFORM llmplane_fn.store_audit_head(head);
END
$$;

REVOKE ALL ON FUNCTION llmplane_fn.append_audit_rows(public.audit_head, jsonb[]) FROM PUBLIC;
