-- Accounts. An installation creates them with passwords of its own; where it has not, they are
-- made here without login. Roles belong to the server, not to the database, so that another
-- database's migration may make them at the same moment.
DO $$
DECLARE
    wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['llmplane_controller', 'llmplane_api'] LOOP
        IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = wanted) THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I NOLOGIN', wanted);
            EXCEPTION
                WHEN duplicate_object OR unique_violation THEN
                    NULL;
                WHEN insufficient_privilege THEN
                    RAISE EXCEPTION 'the role % does not exist and % may not create it', wanted, current_user
                        USING ERRCODE = 'insufficient_privilege',
                              HINT = format('Create it as an administrator: CREATE ROLE %I LOGIN PASSWORD ''...''', wanted);
            END;
        END IF;
    END LOOP;
END
$$;

CREATE TABLE feed (
    only_row    boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    epoch       bigint  NOT NULL DEFAULT 0,
    revision    bigint  NOT NULL DEFAULT 0,
    cluster_uid text
);
COMMENT ON TABLE feed IS 'One row: the leader''s epoch, the newest revision, the cluster that this database belongs to.';

CREATE TABLE changes (
    revision   bigint      NOT NULL,
    kind       text        NOT NULL CHECK (kind IN ('provider', 'endpoint', 'credential', 'model', 'feed')),
    uid        uuid        NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (revision, kind, uid)
);
COMMENT ON TABLE changes IS 'The change feed: which objects each revision changed. A new leader leaves a row of kind feed, so that the newest revision is always held.';

INSERT INTO feed DEFAULT VALUES;
INSERT INTO changes (revision, kind, uid) VALUES (0, 'feed', '00000000-0000-0000-0000-000000000000');

CREATE TABLE providers (
    uid                       uuid        PRIMARY KEY,
    namespace                 text        NOT NULL,
    name                      text        NOT NULL,
    generation                bigint      NOT NULL,
    enabled                   boolean     NOT NULL,
    is_active                 boolean     NOT NULL,
    conditions                jsonb       NOT NULL,
    verified_generation       bigint,
    last_handled_reconcile_at text,
    created_at                timestamptz NOT NULL,
    updated_at                timestamptz NOT NULL DEFAULT now(),
    deleted_at                timestamptz,
    revision                  bigint      NOT NULL DEFAULT 0,
    type                      text        NOT NULL CHECK (type IN (
        'OpenAI', 'Anthropic', 'Bedrock', 'AzureOpenAI', 'DashScope', 'Qianfan', 'Ollama', 'VLLM', 'OpenAICompatible')),
    display_name              text,
    description               text,
    default_endpoint          text,
    model_sync                jsonb       NOT NULL,
    last_synced_at            timestamptz,
    sync_verdict              jsonb
);
CREATE UNIQUE INDEX providers_live_name ON providers (namespace, name) WHERE deleted_at IS NULL;

CREATE TABLE endpoints (
    uid                       uuid        PRIMARY KEY,
    namespace                 text        NOT NULL,
    name                      text        NOT NULL,
    generation                bigint      NOT NULL,
    enabled                   boolean     NOT NULL,
    is_active                 boolean     NOT NULL,
    conditions                jsonb       NOT NULL,
    verified_generation       bigint,
    last_handled_reconcile_at text,
    created_at                timestamptz NOT NULL,
    updated_at                timestamptz NOT NULL DEFAULT now(),
    deleted_at                timestamptz,
    revision                  bigint      NOT NULL DEFAULT 0,
    provider_uid              uuid        NOT NULL REFERENCES providers (uid),
    display_name              text,
    base_url                  text        NOT NULL,
    api_version               text,
    region                    text,
    timeout_connect           integer     NOT NULL CHECK (timeout_connect > 0),
    timeout_read              integer     NOT NULL CHECK (timeout_read > 0),
    retry_count               integer     NOT NULL CHECK (retry_count >= 0),
    retry_interval_ms         integer     NOT NULL CHECK (retry_interval_ms >= 0),
    headers                   jsonb       NOT NULL,
    priority                  integer     NOT NULL CHECK (priority >= 0),
    is_default                boolean     NOT NULL,
    ca_bundle                 text,
    health_check              jsonb       NOT NULL,
    verdict                   jsonb,
    list_verdict              jsonb
);
CREATE UNIQUE INDEX endpoints_live_name ON endpoints (namespace, name) WHERE deleted_at IS NULL;
CREATE INDEX endpoints_provider ON endpoints (provider_uid) WHERE deleted_at IS NULL;

CREATE TABLE credentials (
    uid                       uuid        PRIMARY KEY,
    namespace                 text        NOT NULL,
    name                      text        NOT NULL,
    generation                bigint      NOT NULL,
    enabled                   boolean     NOT NULL,
    is_active                 boolean     NOT NULL,
    conditions                jsonb       NOT NULL,
    verified_generation       bigint,
    last_handled_reconcile_at text,
    created_at                timestamptz NOT NULL,
    updated_at                timestamptz NOT NULL DEFAULT now(),
    deleted_at                timestamptz,
    revision                  bigint      NOT NULL DEFAULT 0,
    provider_uid              uuid        NOT NULL REFERENCES providers (uid),
    endpoint_uids             uuid[]      NOT NULL,
    alias                     text,
    description               text,
    expires_at                timestamptz,
    quota_limit               bigint      CHECK (quota_limit >= 0),
    quota_unit                text        CHECK (quota_unit IN ('Disclosures', 'Requests', 'Tokens', 'Cost')),
    quota_period              text        CHECK (quota_period IN ('Minute', 'Hour', 'Day', 'Month')),
    priority                  integer     NOT NULL CHECK (priority >= 0),
    grace_seconds             integer     NOT NULL CHECK (grace_seconds >= 0),
    validation                jsonb       NOT NULL,
    secret_name               text        NOT NULL,
    secret_uid                text,
    secret_resource_version   text,
    masked_key                text,
    fingerprint               text,
    version                   integer,
    CHECK (num_nulls(quota_limit, quota_unit, quota_period) IN (0, 3))
);
CREATE UNIQUE INDEX credentials_live_name ON credentials (namespace, name) WHERE deleted_at IS NULL;
CREATE INDEX credentials_provider ON credentials (provider_uid) WHERE deleted_at IS NULL;

CREATE TABLE credential_versions (
    credential_uid uuid        NOT NULL REFERENCES credentials (uid),
    version        integer     NOT NULL CHECK (version > 0),
    state          text        NOT NULL CHECK (state IN ('Pending', 'Current', 'Previous', 'Destroyed')),
    fingerprint    text        NOT NULL,
    masked_key     text        NOT NULL,
    provider_type  text        NOT NULL,
    allowed_hosts  text[]      NOT NULL,
    kek_id         text        NOT NULL,
    wrapped_key    bytea,
    payload        bytea,
    verdicts       jsonb       NOT NULL DEFAULT '{}',
    since          timestamptz NOT NULL DEFAULT now(),
    grace_until    timestamptz,
    created_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (credential_uid, version),
    CHECK ((state = 'Destroyed') = (payload IS NULL)),
    CHECK ((state = 'Destroyed') = (wrapped_key IS NULL))
);
CREATE UNIQUE INDEX credential_versions_current ON credential_versions (credential_uid) WHERE state = 'Current';
CREATE INDEX credential_versions_kek ON credential_versions (kek_id) WHERE state <> 'Destroyed';
COMMENT ON COLUMN credential_versions.allowed_hosts IS 'For display. Every use decides by the hosts sealed inside the payload.';

CREATE TABLE models (
    uid                       uuid        PRIMARY KEY,
    namespace                 text        NOT NULL,
    name                      text        NOT NULL,
    generation                bigint      NOT NULL,
    enabled                   boolean     NOT NULL,
    is_active                 boolean     NOT NULL,
    conditions                jsonb       NOT NULL,
    verified_generation       bigint,
    last_handled_reconcile_at text,
    created_at                timestamptz NOT NULL,
    updated_at                timestamptz NOT NULL DEFAULT now(),
    deleted_at                timestamptz,
    revision                  bigint      NOT NULL DEFAULT 0,
    provider_uid              uuid        NOT NULL REFERENCES providers (uid),
    endpoint_uids             uuid[]      NOT NULL,
    model_id                  text        NOT NULL,
    display_name              text,
    version                   text,
    type                      text        CHECK (type IN (
        'Chat', 'Completion', 'Embedding', 'Vision', 'Rerank', 'Image', 'Audio')),
    context_window            bigint      CHECK (context_window > 0),
    max_input_tokens          bigint      CHECK (max_input_tokens > 0),
    max_output_tokens         bigint      CHECK (max_output_tokens > 0),
    currency                  text,
    input_price               text,
    output_price              text,
    capabilities              jsonb       NOT NULL,
    recommended_for           text[]      NOT NULL,
    default_parameters        jsonb,
    lifecycle                 text        NOT NULL CHECK (lifecycle IN ('Available', 'Maintenance', 'Deprecated')),
    origin                    jsonb       NOT NULL,
    availability_test         jsonb       NOT NULL,
    test_verdict              jsonb
);
CREATE UNIQUE INDEX models_live_name ON models (namespace, name) WHERE deleted_at IS NULL;
CREATE UNIQUE INDEX models_active_model_id ON models (provider_uid, model_id) WHERE deleted_at IS NULL AND is_active;
CREATE INDEX models_provider ON models (provider_uid) WHERE deleted_at IS NULL;

CREATE TABLE listed_models (
    endpoint_uid uuid  NOT NULL REFERENCES endpoints (uid),
    model_id     text  NOT NULL,
    facts        jsonb NOT NULL,
    PRIMARY KEY (endpoint_uid, model_id)
);
COMMENT ON TABLE listed_models IS 'What the vendor''s last complete list said at each endpoint.';

CREATE TABLE check_requests (
    uid          uuid        PRIMARY KEY,
    requester    text        NOT NULL,
    requested_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE check_requests IS 'Checks that the read API asked for and the controller has not taken up yet.';

CREATE SEQUENCE health_probes_id;
CREATE TABLE health_probes (
    id           bigint      NOT NULL DEFAULT nextval('health_probes_id'),
    checked_at   timestamptz NOT NULL,
    subject      uuid        NOT NULL,
    kind         text        NOT NULL CHECK (kind IN ('Probe', 'Validation', 'ModelList', 'ModelTest')),
    endpoint_uid uuid,
    fingerprint  text,
    reason       text        NOT NULL,
    success      boolean,
    message      text        NOT NULL,
    latency_ms   integer     NOT NULL CHECK (latency_ms >= 0),
    http_status  integer,
    request_id   text,
    PRIMARY KEY (checked_at, id)
) PARTITION BY RANGE (checked_at);
ALTER SEQUENCE health_probes_id OWNED BY health_probes.id;
CREATE TABLE health_probes_default PARTITION OF health_probes DEFAULT;
CREATE INDEX health_probes_history ON health_probes (subject, kind, checked_at DESC, id DESC);
-- The newest check of each target is found by skipping from target to target.
CREATE INDEX health_probes_target ON health_probes (
    subject, kind, coalesce(endpoint_uid, '00000000-0000-0000-0000-000000000000'::uuid), coalesce(fingerprint, ''), checked_at DESC);

CREATE TABLE audit_log (
    at                 timestamptz NOT NULL,
    seq                bigint      NOT NULL,
    action             text        NOT NULL,
    actor              text        NOT NULL,
    namespace          text,
    kind               text,
    name               text,
    object_uid         uuid,
    credential_version integer,
    fingerprint        text,
    purpose            text,
    result             text        NOT NULL,
    detail             jsonb       NOT NULL DEFAULT '{}',
    previous_hash      bytea,
    hash               bytea,
    PRIMARY KEY (at, seq)
) PARTITION BY RANGE (at);
CREATE TABLE audit_log_default PARTITION OF audit_log DEFAULT;
CREATE INDEX audit_log_object ON audit_log (object_uid, at DESC);

CREATE TABLE retention (
    table_name text     PRIMARY KEY CHECK (table_name IN ('health_probes', 'audit_log')),
    keep       interval NOT NULL CHECK (keep >= interval '1 day')
);
COMMENT ON TABLE retention IS 'How long rows of the partitioned tables are kept. An administrator may change it.';
INSERT INTO retention (table_name, keep) VALUES ('health_probes', '30 days'), ('audit_log', '400 days');

CREATE SCHEMA llmplane_fn;

-- Makes one month's partition. Rows of that month that the default partition caught meanwhile
-- are moved into it, for PostgreSQL refuses to attach a partition whose rows are elsewhere.
CREATE FUNCTION llmplane_fn.make_partition(parent text, time_column text, month timestamptz) RETURNS boolean
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

-- Drops what is wholly too old, and deletes the rest of what is too old.
CREATE FUNCTION llmplane_fn.apply_retention(parent text, time_column text, keep_from timestamptz) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
    SET timezone = 'UTC'
AS $$
DECLARE
    partition text;
BEGIN
    FOR partition IN
        SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = format('public.%I', parent)::regclass AND c.relname ~ ('^' || parent || '_p[0-9]{6}$')
          AND to_date(right(c.relname, 6), 'YYYYMM')::timestamptz + interval '1 month' <= keep_from
    LOOP
        EXECUTE format('DROP TABLE public.%I', partition);
    END LOOP;
    EXECUTE format('DELETE FROM public.%I WHERE %I < %L', parent, time_column, keep_from);
END
$$;

CREATE FUNCTION llmplane_fn.maintain_partitions() RETURNS integer
    LANGUAGE plpgsql
    SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    SET timezone = 'UTC'
AS $$
DECLARE
    made    integer := 0;
    parent  record;
    month   timestamptz;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('llmplane_fn.maintain_partitions'));
    FOR parent IN
        SELECT r.table_name, r.keep, CASE r.table_name WHEN 'health_probes' THEN 'checked_at' ELSE 'at' END AS time_column
        FROM public.retention r ORDER BY r.table_name
    LOOP
        FOR ahead IN 0..3 LOOP
            month := date_trunc('month', now()) + make_interval(months => ahead);
            IF llmplane_fn.make_partition(parent.table_name, parent.time_column, month) THEN
                made := made + 1;
            END IF;
        END LOOP;
        PERFORM llmplane_fn.apply_retention(parent.table_name, parent.time_column, now() - parent.keep);
    END LOOP;
    RETURN made;
END
$$;
COMMENT ON FUNCTION llmplane_fn.maintain_partitions() IS 'Makes the partitions of this month and the next three, and applies the retention. Answers how many it made.';

CREATE FUNCTION llmplane_fn.request_check(object_uid uuid, requester text) RETURNS boolean
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
COMMENT ON FUNCTION llmplane_fn.request_check(uuid, text) IS 'Asks the controller for a check of a live object. Answers false where there is none.';

SELECT llmplane_fn.maintain_partitions();

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA llmplane_fn FROM PUBLIC;
GRANT USAGE ON SCHEMA public, llmplane_fn TO llmplane_controller, llmplane_api;
GRANT EXECUTE ON FUNCTION llmplane_fn.maintain_partitions() TO llmplane_controller;
GRANT EXECUTE ON FUNCTION llmplane_fn.request_check(uuid, text) TO llmplane_api;

GRANT SELECT, UPDATE (epoch, revision, cluster_uid) ON feed TO llmplane_controller;
GRANT SELECT, INSERT, DELETE ON changes TO llmplane_controller;
GRANT SELECT, INSERT, UPDATE ON providers, endpoints, credentials, credential_versions, models TO llmplane_controller;
GRANT SELECT, INSERT, UPDATE, DELETE ON listed_models TO llmplane_controller;
GRANT SELECT, INSERT ON health_probes TO llmplane_controller;
GRANT USAGE ON SEQUENCE health_probes_id TO llmplane_controller;
GRANT SELECT, DELETE ON check_requests TO llmplane_controller;
GRANT SELECT ON audit_log TO llmplane_controller;

-- The sealed columns too: an API replica decrypts what it gives out.
GRANT SELECT ON feed, changes, providers, endpoints, credentials, credential_versions, models, health_probes, audit_log
    TO llmplane_api;

-- Both refuse a schema that they do not know, so that both must see which one it is.
DO $$
BEGIN
    IF to_regclass('public._sqlx_migrations') IS NOT NULL THEN
        GRANT SELECT ON public._sqlx_migrations TO llmplane_controller, llmplane_api;
    END IF;
END
$$;
