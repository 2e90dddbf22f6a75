DROP FUNCTION llmplane_fn.request_checks(uuid[], text[]);
CREATE FUNCTION llmplane_fn.request_checks(object_uids uuid[], requesters text[]) RETURNS SETOF uuid
    LANGUAGE plpgsql
    SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    object_uid uuid;
    asked_by text;
BEGIN
    -- In one order, so that two callers never wait for each other.
    FOR object_uid, asked_by IN
        SELECT u.uid, min(u.requester) FROM unnest(object_uids, requesters) AS u(uid, requester)
        WHERE u.uid IS NOT NULL GROUP BY u.uid ORDER BY u.uid
    LOOP
        IF length(asked_by) > 512 THEN
            RAISE EXCEPTION 'requester is longer than 512 characters' USING ERRCODE = 'string_data_right_truncation';
        END IF;
        IF NOT EXISTS (SELECT FROM public.providers WHERE uid = object_uid AND deleted_at IS NULL)
            AND NOT EXISTS (SELECT FROM public.endpoints WHERE uid = object_uid AND deleted_at IS NULL)
            AND NOT EXISTS (SELECT FROM public.credentials WHERE uid = object_uid AND deleted_at IS NULL)
            AND NOT EXISTS (SELECT FROM public.models WHERE uid = object_uid AND deleted_at IS NULL) THEN
            CONTINUE;
        END IF;
        INSERT INTO public.check_requests AS r (uid, requester, requested_at)
            VALUES (object_uid, asked_by, clock_timestamp())
            ON CONFLICT (uid) DO UPDATE SET requester = excluded.requester, requested_at = excluded.requested_at
            WHERE r.requested_at < excluded.requested_at - interval '2 seconds';
        PERFORM pg_notify('llmplane_checks', object_uid::text);
        RETURN NEXT object_uid;
    END LOOP;
END
$$;
COMMENT ON FUNCTION llmplane_fn.request_checks(uuid[], text[]) IS 'Asks the controller for checks of live objects, each on behalf of the requester at its place. Answers which of them there are.';

REVOKE ALL ON FUNCTION llmplane_fn.request_checks(uuid[], text[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION llmplane_fn.request_checks(uuid[], text[]) TO llmplane_api;
ALTER TABLE check_requests DROP COLUMN met_at;
