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
        PERFORM llmplane_fn.apply_retention(parent.table_name, parent.time_column, now() - parent.keep);
    END LOOP;
    RETURN made;
END
$$;
DROP FUNCTION llmplane_fn.prune_audit(integer);
DROP FUNCTION llmplane_fn.record_disclosures(jsonb);
DROP FUNCTION llmplane_fn.quota_period_start(text, timestamptz);
DROP FUNCTION llmplane_fn.database_marker();
DROP FUNCTION llmplane_fn.append_audit(jsonb);
DROP FUNCTION llmplane_fn.store_audit_head(public.audit_head);
DROP FUNCTION llmplane_fn.lock_audit_head();
DROP FUNCTION llmplane_fn.append_audit_row(public.audit_head, jsonb);
DROP FUNCTION llmplane_fn.append_audit_rows(public.audit_head, jsonb[]);
DROP FUNCTION llmplane_fn.audit_hash(public.audit_log);
DROP TABLE swept_database, disclosure_counts, audit_anchors, audit_head;
DROP INDEX audit_log_seq, audit_log_namespace, audit_log_credential;
CREATE INDEX audit_log_object ON audit_log (object_uid, at DESC);
ALTER TABLE audit_log
    ALTER COLUMN previous_hash DROP NOT NULL,
    ALTER COLUMN hash DROP NOT NULL,
    DROP COLUMN actor_uid,
    DROP COLUMN actor_groups,
    DROP COLUMN pod,
    DROP COLUMN pod_uid,
    DROP COLUMN node,
    DROP COLUMN token_id,
    DROP COLUMN count;
