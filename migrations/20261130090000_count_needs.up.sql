-- What callers of `POST /resolve` ask for, counted by day: from it is told whom a change of what is declared
-- would move. A need holds what a caller wrote in its request, but for the purpose; never a key.
CREATE TABLE resolve_needs (
    day        date   NOT NULL,
    digest     bytea  NOT NULL,
    namespace  text,
    namespaces jsonb,
    need       jsonb,
    count      bigint NOT NULL CHECK (count >= 0),
    PRIMARY KEY (day, digest),
    CHECK ((need IS NULL) = (digest = '') AND (need IS NULL) = (namespaces IS NULL) AND (need IS NULL) = (namespace IS NULL))
);
COMMENT ON TABLE resolve_needs IS 'How often what was asked for on a day (UTC), by where and what. The row with an empty digest counts all that is beyond the day''s bounds.';
COMMENT ON COLUMN resolve_needs.namespaces IS 'Where it was looked for: lists of namespaces, those of a later list only where an earlier one has nothing. ["*"]: all.';
COMMENT ON COLUMN resolve_needs.namespace IS 'The first of these: who may read the audit there may read the row.';
COMMENT ON COLUMN resolve_needs.need IS 'The body of the request in one form: sorted, without defaults.';

ALTER TABLE retention
    DROP CONSTRAINT retention_table_name_check,
    ADD CONSTRAINT retention_table_name_check
        CHECK (table_name IN ('health_probes', 'audit_log', 'deleted_objects', 'resolve_needs'));
COMMENT ON TABLE retention IS 'How long probes, audit rows, objects that were deleted, and counts of needs are kept. An administrator may change it.';
INSERT INTO retention (table_name, keep) VALUES ('resolve_needs', '35 days');

CREATE FUNCTION llmplane_fn.count_needs(batch jsonb) RETURNS void
    LANGUAGE plpgsql
    SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    max_of_day       constant bigint  := 2000;
    max_of_namespace constant bigint  := 500;
    max_bytes        constant integer := 2048;
    today    date   := (clock_timestamp() AT TIME ZONE 'UTC')::date;
    together bigint := 0;
    known    bigint;
    asked    record;
BEGIN
    -- The lock of this row puts the replicas in order, so that the bounds hold for all of them together.
    INSERT INTO public.resolve_needs AS n (day, digest, count) VALUES (today, '', 0)
        ON CONFLICT (day, digest) DO UPDATE SET count = n.count;
    SELECT count(*) INTO known FROM public.resolve_needs WHERE day = today AND digest <> '';
    FOR asked IN
        SELECT sha256(convert_to(concat_ws(E'\n', said.namespaces, said.need), 'UTF8')) AS digest,
            said.namespaces #>> '{0,0}' AS namespace, said.namespaces, said.need, said.count
        FROM jsonb_to_recordset(batch) AS said (namespaces jsonb, need jsonb, count bigint)
    LOOP
        IF asked.namespace IS NULL OR asked.need IS NULL OR jsonb_typeof(asked.need) <> 'object' THEN
            together := together + asked.count;
            CONTINUE;
        END IF;
        UPDATE public.resolve_needs n SET count = n.count + asked.count
            WHERE n.day = today AND n.digest = asked.digest;
        CONTINUE WHEN FOUND;
        IF known >= max_of_day
            OR octet_length(asked.need::text) + octet_length(asked.namespaces::text) > max_bytes
            OR max_of_namespace <= (SELECT count(*) FROM public.resolve_needs n
                                    WHERE n.day = today AND n.namespace = asked.namespace) THEN
            together := together + asked.count;
        ELSE
            INSERT INTO public.resolve_needs (day, digest, namespace, namespaces, need, count)
                VALUES (today, asked.digest, asked.namespace, asked.namespaces, asked.need, asked.count);
            known := known + 1;
        END IF;
    END LOOP;
    UPDATE public.resolve_needs n SET count = n.count + together
        WHERE n.day = today AND n.digest = '' AND together > 0;
END
$$;
COMMENT ON FUNCTION llmplane_fn.count_needs(jsonb) IS 'Adds to today''s counts: at most 2000 needs a day, 500 of them of one namespace, each of at most 2 KiB with its namespaces. What is beyond is counted together.';

CREATE FUNCTION llmplane_fn.forget_needs(batch integer) RETURNS bigint
    LANGUAGE plpgsql
    SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    before  date := ((now() - (SELECT keep FROM public.retention WHERE table_name = 'resolve_needs')) AT TIME ZONE 'UTC')::date;
    removed bigint;
BEGIN
    DELETE FROM public.resolve_needs WHERE ctid = ANY (ARRAY (
        SELECT n.ctid FROM public.resolve_needs n WHERE n.day < before LIMIT batch));
    GET DIAGNOSTICS removed = ROW_COUNT;
    RETURN removed;
END
$$;
COMMENT ON FUNCTION llmplane_fn.forget_needs(integer) IS 'Removes counts of days that are longer ago than the retention, at most batch rows. Answers how many.';

REVOKE ALL ON FUNCTION llmplane_fn.count_needs(jsonb), llmplane_fn.forget_needs(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION llmplane_fn.count_needs(jsonb) TO llmplane_api;
GRANT EXECUTE ON FUNCTION llmplane_fn.forget_needs(integer) TO llmplane_controller;
GRANT SELECT ON resolve_needs TO llmplane_api;
