DROP FUNCTION llmplane_fn.purge_deleted(integer);
DELETE FROM retention WHERE table_name = 'deleted_objects';

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
        FROM public.retention r ORDER BY r.table_name
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

ALTER TABLE retention
    DROP CONSTRAINT retention_table_name_check,
    ADD CONSTRAINT retention_table_name_check CHECK (table_name IN ('health_probes', 'audit_log'));
COMMENT ON TABLE retention IS 'How long rows of the partitioned tables are kept. An administrator may change it.';
