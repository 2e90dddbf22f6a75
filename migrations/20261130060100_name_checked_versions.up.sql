-- A key that came back (the Secret holds a former one again) is a version of its own with the fingerprint of
-- the former one: its checks were told of both. They are the newest's that was there.
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
        'credential_version', used.version, 'fingerprint', used.fingerprint, 'count', sum(used.number),
        'detail', jsonb_build_object('from', begun, 'until', today, 'checks', jsonb_object_agg(used.kind, used.number)))
    FROM (SELECT v.credential_uid, v.version, v.fingerprint, p.kind, count(*) AS number
          FROM (SELECT credential_uid, version, fingerprint, created_at,
                       lag(version) OVER same_key IS NULL AS is_first, lead(created_at) OVER same_key AS until
                FROM public.credential_versions
                WINDOW same_key AS (PARTITION BY fingerprint ORDER BY version)) v
          JOIN public.health_probes p ON p.fingerprint = v.fingerprint
              -- The clock of who checks may be behind this one.
              AND (p.checked_at >= v.created_at OR v.is_first)
              AND p.checked_at < coalesce(v.until, 'infinity')
          WHERE p.checked_at >= begun AND p.checked_at < today
          GROUP BY v.credential_uid, v.version, v.fingerprint, p.kind) used
    JOIN public.credentials c ON c.uid = used.credential_uid
    GROUP BY c.uid, used.version, used.fingerprint
    ORDER BY c.namespace, c.name, used.version;
    GET DIAGNOSTICS told = ROW_COUNT;
    UPDATE public.audited_checks SET until = today;
    RETURN told;
END
$$;
