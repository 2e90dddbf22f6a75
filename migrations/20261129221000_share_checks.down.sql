REVOKE SELECT (uid, requested_at) ON check_requests FROM llmplane_api;

CREATE OR REPLACE FUNCTION llmplane_fn.request_check(object_uid uuid, requester text) RETURNS boolean
    LANGUAGE plpgsql
    SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF length(requester) > 512 THEN
        RAISE EXCEPTION 'requester is longer than 512 characters' USING ERRCODE = 'string_data_right_truncation';
    END IF;
    IF NOT EXISTS (SELECT FROM public.providers WHERE uid = object_uid AND deleted_at IS NULL)
        AND NOT EXISTS (SELECT FROM public.endpoints WHERE uid = object_uid AND deleted_at IS NULL)
        AND NOT EXISTS (SELECT FROM public.credentials WHERE uid = object_uid AND deleted_at IS NULL)
        AND NOT EXISTS (SELECT FROM public.models WHERE uid = object_uid AND deleted_at IS NULL) THEN
        RETURN false;
    END IF;
    INSERT INTO public.check_requests AS r (uid, requester, requested_at)
        VALUES (object_uid, request_check.requester, clock_timestamp())
        ON CONFLICT (uid) DO UPDATE SET requester = excluded.requester, requested_at = excluded.requested_at;
    PERFORM pg_notify('llmplane_checks', object_uid::text);
    RETURN true;
END
$$;

DROP FUNCTION llmplane_fn.request_checks(uuid[], text[]);
