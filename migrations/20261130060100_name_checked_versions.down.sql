CREATE OR REPLACE FUNCTION llmplane_fn.audit_checks() RETURNS bigint
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
