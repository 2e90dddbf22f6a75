-- A volume that is put back under the same server (a snapshot, a copy of the data folder) is the same database
-- by all that is in it. It is told by the server's start: a server reads nothing else than it wrote unless it
-- was stopped. So after each start the controller compares the credentials with the cluster before a key
-- leaves, as after a restore.
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
COMMENT ON FUNCTION llmplane_fn.database_marker() IS 'Which database this is; another one after a restore, and after each start of the server.';
