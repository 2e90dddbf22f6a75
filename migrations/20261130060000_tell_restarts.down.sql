CREATE OR REPLACE FUNCTION llmplane_fn.database_marker() RETURNS text
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
