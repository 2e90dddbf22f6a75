-- Whoever asks while the check of an earlier request is under way waits for the next one, and the earlier
-- one waits no longer for that: a row says up to when those who asked were answered.
ALTER TABLE check_requests ADD COLUMN met_at timestamptz NOT NULL DEFAULT now() - interval '1 microsecond';
UPDATE check_requests SET met_at = requested_at - interval '1 microsecond';
COMMENT ON COLUMN check_requests.met_at IS 'Whoever asked up to this moment has had its check.';

-- Another result type takes another function.
DROP FUNCTION llmplane_fn.request_checks(uuid[], text[]);
CREATE FUNCTION llmplane_fn.request_checks(object_uids uuid[], requesters text[])
    RETURNS TABLE (uid uuid, requested_at timestamptz, age double precision)
    LANGUAGE plpgsql
    SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    object_uid uuid;
    asked_by text;
    asked_at timestamptz;
BEGIN
    -- In one order, so that two callers never wait for each other.
    FOR object_uid, asked_by IN
        SELECT u.uid, min(u.requester) FROM unnest(object_uids, requesters) AS u(uid, requester)
        WHERE u.uid IS NOT NULL GROUP BY u.uid ORDER BY u.uid
    LOOP
        IF length(asked_by) > 512 THEN
            RAISE EXCEPTION 'requester is longer than 512 characters' USING ERRCODE = 'string_data_right_truncation';
        END IF;
        IF NOT EXISTS (SELECT FROM public.providers o WHERE o.uid = object_uid AND o.deleted_at IS NULL)
            AND NOT EXISTS (SELECT FROM public.endpoints o WHERE o.uid = object_uid AND o.deleted_at IS NULL)
            AND NOT EXISTS (SELECT FROM public.credentials o WHERE o.uid = object_uid AND o.deleted_at IS NULL)
            AND NOT EXISTS (SELECT FROM public.models o WHERE o.uid = object_uid AND o.deleted_at IS NULL) THEN
            CONTINUE;
        END IF;
        asked_at := clock_timestamp();
        INSERT INTO public.check_requests AS r (uid, requester, requested_at, met_at)
            VALUES (object_uid, asked_by, asked_at, asked_at - interval '1 microsecond')
            ON CONFLICT (uid) DO UPDATE SET requester = excluded.requester, requested_at = excluded.requested_at
            WHERE r.requested_at < excluded.requested_at - interval '2 seconds';
        PERFORM pg_notify('llmplane_checks', object_uid::text);
        -- One that is shared is locked by now too.
        RETURN QUERY SELECT r.uid, r.requested_at,
                extract(epoch FROM clock_timestamp() - r.requested_at)::double precision
            FROM public.check_requests r WHERE r.uid = object_uid;
    END LOOP;
END
$$;
COMMENT ON FUNCTION llmplane_fn.request_checks(uuid[], text[]) IS 'Asks the controller for checks of live objects, each on behalf of the requester at its place. Answers which of them there are, when the check was asked for that each shares, and how many seconds ago.';

REVOKE ALL ON FUNCTION llmplane_fn.request_checks(uuid[], text[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION llmplane_fn.request_checks(uuid[], text[]) TO llmplane_api;
GRANT SELECT (met_at) ON check_requests TO llmplane_api;
GRANT UPDATE (met_at) ON check_requests TO llmplane_controller;
