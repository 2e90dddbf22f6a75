-- The roles stay: they belong to the server, and other databases may use them.
DO $$
BEGIN
    IF to_regclass('public._sqlx_migrations') IS NOT NULL THEN
        REVOKE ALL ON public._sqlx_migrations FROM llmplane_controller, llmplane_api;
    END IF;
END
$$;
REVOKE USAGE ON SCHEMA public FROM llmplane_controller, llmplane_api;
DROP SCHEMA llmplane_fn CASCADE;
DROP TABLE retention, audit_log, health_probes, check_requests, listed_models, models,
    credential_versions, credentials, endpoints, providers, changes, feed;
