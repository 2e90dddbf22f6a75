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
                -- A Secret whose entry is gone or malformed leaves the key in use for its grace; a vendor that
                -- exchanges no further token leaves the one before until it ends.
                WHEN EXISTS (SELECT FROM jsonb_array_elements(c.conditions) AS said (condition)
                    WHERE condition ->> 'type' = 'Valid' AND condition ->> 'status' = 'False'
                      AND condition ->> 'reason' NOT IN ('SecretFieldMissing', 'KeyMalformed', 'ExchangeRefused')) THEN 'Invalid'
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

DROP FUNCTION llmplane_fn.record_disclosures(jsonb, jsonb, integer[], integer[], text[], text[], text[], text[], text[], text[], text[]);

CREATE OR REPLACE FUNCTION llmplane_fn.database_marker() RETURNS text
    LANGUAGE sql STABLE
    SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT concat_ws('/', (SELECT system_identifier FROM pg_control_system()),
        -- The timeline that is written now: the last checkpoint's is an older one for a while after a failover.
        CASE WHEN pg_is_in_recovery() THEN 'standby' ELSE left(pg_walfile_name(pg_current_wal_lsn()), 8) END,
        (SELECT oid FROM pg_database WHERE datname = current_database()),
        pg_relation_filenode('public.feed'::regclass),
        extract(epoch FROM pg_postmaster_start_time()))
$$;

DROP FUNCTION llmplane_fn.audit_text(text, integer);
DROP FUNCTION llmplane_fn.audit_field(text);

ALTER TABLE audit_log DROP CONSTRAINT audit_log_pkey, ADD PRIMARY KEY (at, seq);
CREATE INDEX audit_log_seq ON audit_log (seq);
