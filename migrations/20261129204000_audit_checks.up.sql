-- Checks use keys too. What each key was used for is told once a day, from the history of checks, so
-- that nothing is lost when the controller restarts.
CREATE TABLE audited_checks (
    only_row boolean     PRIMARY KEY DEFAULT true CHECK (only_row),
    until    timestamptz NOT NULL
);
COMMENT ON TABLE audited_checks IS 'Up to when the audit tells what checks used keys for.';
INSERT INTO audited_checks (until) VALUES (date_trunc('day', now(), 'UTC'));

CREATE FUNCTION llmplane_fn.audit_checks() RETURNS bigint
    LANGUAGE plpgsql
    SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    today timestamptz := date_trunc('day', now(), 'UTC');
    begun timestamptz;
    told  bigint;
BEGIN
    SELECT until INTO begun FROM public.audited_checks WHERE until < today FOR UPDATE;
    IF begun IS NULL THEN
        RETURN 0;
    END IF;
    INSERT INTO public.audit_outbox (entry)
    SELECT jsonb_build_object(
        'action', 'Check', 'result', 'Done', 'actor', 'llmplane-controller', 'kind', 'LlmCredential',
        'namespace', c.namespace, 'name', c.name, 'object_uid', c.uid,
        'credential_version', v.version, 'fingerprint', v.fingerprint, 'count', sum(used.number),
        'detail', jsonb_build_object('from', begun, 'until', today, 'checks', jsonb_object_agg(used.kind, used.number)))
    FROM (SELECT p.fingerprint, p.kind, count(*) AS number FROM public.health_probes p
          WHERE p.checked_at >= begun AND p.checked_at < today AND p.fingerprint IS NOT NULL
          GROUP BY p.fingerprint, p.kind) used
    JOIN public.credential_versions v ON v.fingerprint = used.fingerprint
    JOIN public.credentials c ON c.uid = v.credential_uid
    GROUP BY c.uid, v.version, v.fingerprint
    ORDER BY c.namespace, c.name, v.version;
    GET DIAGNOSTICS told = ROW_COUNT;
    UPDATE public.audited_checks SET until = today;
    RETURN told;
END
$$;
COMMENT ON FUNCTION llmplane_fn.audit_checks() IS 'Leaves a row for the audit of each key version that checks used on the days that have ended. Answers how many.';
CREATE INDEX credential_versions_fingerprint ON credential_versions (fingerprint);

REVOKE ALL ON FUNCTION llmplane_fn.audit_checks() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION llmplane_fn.audit_checks() TO llmplane_controller;
GRANT SELECT ON audited_checks TO llmplane_controller;

-- Who compares fingerprints makes sure first that they were made with the same key.
GRANT SELECT ON keyring_check TO llmplane_api;
