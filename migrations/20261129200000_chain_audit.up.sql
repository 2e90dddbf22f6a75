-- The audit log: who did what with which key or object. Rows are chained by their hashes, so that a
-- changed, removed or inserted one shows, and come by the functions below alone.
ALTER TABLE audit_log
    ADD COLUMN actor_uid    text,
    ADD COLUMN actor_groups text[]  NOT NULL DEFAULT '{}',
    ADD COLUMN pod          text,
    ADD COLUMN pod_uid      text,
    ADD COLUMN node         text,
    ADD COLUMN token_id     text,
    ADD COLUMN count        integer NOT NULL DEFAULT 1 CHECK (count > 0),
    ALTER COLUMN previous_hash SET NOT NULL,
    ALTER COLUMN hash SET NOT NULL;
COMMENT ON COLUMN audit_log.seq IS 'Position in the chain: 1, 2, 3 and so on, without a gap.';
COMMENT ON COLUMN audit_log.count IS 'How many equal requests this row stands for: refusals are written together.';
COMMENT ON COLUMN audit_log.token_id IS 'The id of the caller''s token: authentication.kubernetes.io/credential-id.';
COMMENT ON COLUMN audit_log.hash IS 'SHA-256 over this row''s columns and the hash of the row before it; see llmplane_fn.audit_hash.';
CREATE INDEX audit_log_seq ON audit_log (seq);
CREATE INDEX audit_log_namespace ON audit_log (namespace, seq DESC);
CREATE INDEX audit_log_credential ON audit_log (object_uid, seq DESC);
DROP INDEX audit_log_object;

CREATE TABLE audit_head (
    only_row boolean     PRIMARY KEY DEFAULT true CHECK (only_row),
    seq      bigint      NOT NULL DEFAULT 0,
    hash     bytea       NOT NULL DEFAULT decode(repeat('00', 32), 'hex'),
    at       timestamptz NOT NULL DEFAULT '-infinity'
);
COMMENT ON TABLE audit_head IS 'One row: the newest row of the audit. Its lock puts all writers of the audit in order.';
INSERT INTO audit_head DEFAULT VALUES;
UPDATE audit_head h SET seq = newest.seq, hash = newest.hash, at = newest.at
    FROM (SELECT seq, hash, at FROM audit_log ORDER BY seq DESC LIMIT 1) newest;

CREATE TABLE audit_anchors (
    seq  bigint      PRIMARY KEY,
    hash bytea       NOT NULL,
    mac  bytea       NOT NULL,
    at   timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE audit_anchors IS 'What the chain''s head was at a moment, under the keyring''s audit.key: who has the database alone cannot make one.';

CREATE TABLE disclosure_counts (
    credential_uid uuid        PRIMARY KEY REFERENCES credentials (uid) ON DELETE CASCADE,
    period_start   timestamptz NOT NULL,
    used           bigint      NOT NULL
);
COMMENT ON TABLE disclosure_counts IS 'How often a key with a quota of disclosures was given out in the present period.';

CREATE TABLE swept_database (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    marker   text    NOT NULL
);
COMMENT ON TABLE swept_database IS 'Which database the last complete sweep of the credentials was of. A restored one is another: no key leaves it before a sweep.';

CREATE FUNCTION llmplane_fn.audit_hash(entry public.audit_log) RETURNS bytea
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
COMMENT ON FUNCTION llmplane_fn.audit_hash(public.audit_log) IS 'SHA-256 of a row: the text audit-row/1, then each field as its length in bytes, a colon and its text.';

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

CREATE FUNCTION llmplane_fn.append_audit_row(head public.audit_head, item jsonb) RETURNS public.audit_head
    LANGUAGE sql
    SET search_path = pg_catalog, pg_temp
AS $$ SELECT llmplane_fn.append_audit_rows(head, ARRAY[item]) $$;

CREATE FUNCTION llmplane_fn.lock_audit_head() RETURNS public.audit_head
    LANGUAGE sql
    SET search_path = pg_catalog, pg_temp
AS $$ SELECT * FROM public.audit_head FOR UPDATE $$;

CREATE FUNCTION llmplane_fn.store_audit_head(head public.audit_head) RETURNS void
    LANGUAGE sql
    SET search_path = pg_catalog, pg_temp
AS $$ UPDATE public.audit_head SET seq = head.seq, hash = head.hash, at = head.at $$;

CREATE FUNCTION llmplane_fn.append_audit(batch jsonb) RETURNS bigint
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
COMMENT ON FUNCTION llmplane_fn.append_audit(jsonb) IS 'Appends rows to the audit, in order. Answers the last one''s position.';

-- Which database this is, so that one that was restored from a dump, to a moment or beside the
-- first is told from it: the server, its timeline, the database, and the file that the feed is in.
CREATE FUNCTION llmplane_fn.database_marker() RETURNS text
    LANGUAGE sql STABLE
    SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT concat_ws('/', (SELECT system_identifier FROM pg_control_system()),
        -- The timeline that is written now: the last checkpoint's is an older one for a while after a failover.
        CASE WHEN pg_is_in_recovery() THEN 'standby' ELSE left(pg_walfile_name(pg_current_wal_lsn()), 8) END,
        (SELECT oid FROM pg_database WHERE datname = current_database()),
        pg_relation_filenode('public.feed'::regclass))
$$;
COMMENT ON FUNCTION llmplane_fn.database_marker() IS 'Which database this is; another one after a restore.';

CREATE FUNCTION llmplane_fn.quota_period_start(period text, moment timestamptz) RETURNS timestamptz
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$ SELECT date_trunc(lower(period), moment, 'UTC') $$;

CREATE FUNCTION llmplane_fn.record_disclosures(batch jsonb)
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
COMMENT ON FUNCTION llmplane_fn.record_disclosures(jsonb) IS 'Decides which of these keys may leave, by what the database holds now, and records each answer. A key leaves after the commit, and only where the verdict is Disclosed.';

-- Removes the oldest rows, never one behind a row that is kept, so that the chain has no gap, and
-- says so in the chain. At most batch rows at once, beside whole partitions: the head's lock holds up
-- whoever asks for a key.
CREATE FUNCTION llmplane_fn.prune_audit(batch integer) RETURNS boolean
    LANGUAGE plpgsql
    SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    SET timezone = 'UTC'
    SET lock_timeout = '200ms'
AS $$
DECLARE
    keep_from timestamptz := now() - (SELECT keep FROM public.retention WHERE table_name = 'audit_log');
    head      public.audit_head;
    partition text;
    oldest    bigint;
    behind    bigint;
    first     bigint;
BEGIN
    SELECT seq INTO oldest FROM public.audit_log ORDER BY seq LIMIT 1;
    IF oldest IS NULL OR NOT EXISTS (SELECT FROM public.audit_log WHERE seq = oldest AND at < keep_from) THEN
        RETURN false;
    END IF;
    head := llmplane_fn.lock_audit_head();
    SELECT seq INTO first FROM public.audit_log WHERE at >= keep_from ORDER BY seq LIMIT 1;
    first := coalesce(first, head.seq + 1);
    -- Time does not go back within the chain, so that a partition that is too old as a whole is a
    -- piece of its beginning.
    FOR partition IN
        SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'public.audit_log'::regclass AND c.relname ~ '^audit_log_p[0-9]{6}$'
          AND to_date(right(c.relname, 6), 'YYYYMM')::timestamptz + interval '1 month' <= keep_from
    LOOP
        EXECUTE format('DROP TABLE public.%I', partition);
    END LOOP;
    SELECT seq INTO behind FROM public.audit_log WHERE seq < first ORDER BY seq LIMIT 1;
    first := least(first, behind + batch);
    DELETE FROM public.audit_log WHERE seq < first;
    DELETE FROM public.audit_anchors WHERE seq < first;
    head := llmplane_fn.append_audit_row(head, jsonb_build_object('action', 'Prune', 'result', 'Done', 'actor', 'llmplane',
        'detail', jsonb_build_object('removed_from', oldest, 'first_kept', first)));
    PERFORM llmplane_fn.store_audit_head(head);
    RETURN EXISTS (SELECT FROM public.audit_log WHERE seq = first AND at < keep_from);
END
$$;
COMMENT ON FUNCTION llmplane_fn.prune_audit(integer) IS 'Removes audit rows that are older than the retention, at most batch of them. Answers whether there are more.';

CREATE OR REPLACE FUNCTION llmplane_fn.maintain_partitions() RETURNS integer
    LANGUAGE plpgsql
    SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    SET timezone = 'UTC'
    SET lock_timeout = '2s'
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
        -- The audit's rows go by prune_audit.
        IF parent.table_name = 'health_probes' THEN
            PERFORM llmplane_fn.apply_retention(parent.table_name, parent.time_column, now() - parent.keep);
        END IF;
    END LOOP;
    RETURN made;
END
$$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA llmplane_fn FROM PUBLIC;
GRANT EXECUTE ON FUNCTION llmplane_fn.append_audit(jsonb) TO llmplane_controller, llmplane_api;
GRANT EXECUTE ON FUNCTION llmplane_fn.record_disclosures(jsonb) TO llmplane_api;
GRANT EXECUTE ON FUNCTION llmplane_fn.database_marker(), llmplane_fn.prune_audit(integer) TO llmplane_controller;
GRANT SELECT ON audit_head, audit_anchors TO llmplane_controller, llmplane_api;
GRANT INSERT ON audit_anchors TO llmplane_controller;
GRANT SELECT, INSERT, UPDATE ON swept_database TO llmplane_controller;
GRANT SELECT ON disclosure_counts TO llmplane_controller, llmplane_api;
