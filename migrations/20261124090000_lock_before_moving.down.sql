ALTER FUNCTION llmplane_fn.maintain_partitions() RESET lock_timeout;

CREATE OR REPLACE FUNCTION llmplane_fn.make_partition(parent text, time_column text, month timestamptz) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
    SET timezone = 'UTC'
AS $$
DECLARE
    upper_bound timestamptz := month + interval '1 month';
    partition   text := parent || to_char(month, '"_p"YYYYMM');
BEGIN
    IF to_regclass(format('public.%I', partition)) IS NOT NULL THEN
        RETURN false;
    END IF;
    EXECUTE format('CREATE TABLE public.%I (LIKE public.%I INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', partition, parent);
    EXECUTE format('WITH moved AS (DELETE FROM public.%I WHERE %I >= %L AND %I < %L RETURNING *) INSERT INTO public.%I SELECT * FROM moved',
        parent || '_default', time_column, month, time_column, upper_bound, partition);
    EXECUTE format('ALTER TABLE public.%I ATTACH PARTITION public.%I FOR VALUES FROM (%L) TO (%L)',
        parent, partition, month, upper_bound);
    RETURN true;
END
$$;
