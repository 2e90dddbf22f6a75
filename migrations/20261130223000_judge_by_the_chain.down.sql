-- keys: what is asked for, each once, as objects with object_uid, credential_version, fingerprint, namespace,
-- name and detail. teams: the lists of groups, each once. All others have an element for each request: the
-- places of its key and of its caller's groups in those, from 1 on, who asks, and why.
CREATE OR REPLACE FUNCTION llmplane_fn.record_disclosures(keys jsonb, teams jsonb, key_of integer[], team_of integer[],
        actors text[], actor_uids text[], pods text[], pod_uids text[], nodes text[], token_ids text[], purposes text[])
    RETURNS TABLE (decision_of integer[], verdicts text[], valid_until timestamptz[], retry_after_seconds integer[])
    LANGUAGE plpgsql
    SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    head         public.audit_head;
    is_swept     boolean;
    -- Read once, behind the lock: all of a batch is judged by one clock.
    moment       timestamptz;
    -- Of each decision: those about keys, and behind them those beyond their quotas.
    uids         uuid[];
    versions     integer[];
    fingerprints text[];
    namespaces   text[];
    names        text[];
    details      jsonb[];
    results      text[];
    begins       text[];
    ends         text[];
    -- Of each key; what was given out in its period, of the first one of its credential.
    limits       bigint[];
    periods      text[];
    given        bigint[];
    starts       timestamptz[];
    exhausted    integer[];
    -- Of each list of groups.
    team_members   text[];
    team_texts   text[];
    -- Of each row.
    entries      text[];
    hashes       bytea[];
    -- In loops.
    moment_text  text;
    entry        text;
    key          integer;
    counter      integer;
    already      bigint;
    start        timestamptz;
BEGIN
    SELECT * INTO head FROM public.audit_head FOR UPDATE;
    moment := clock_timestamp();
    is_swept := EXISTS (SELECT FROM public.swept_database WHERE marker = llmplane_fn.database_marker());
    -- Sorted once, below: an order of each aggregate's own is a sort each.
    SELECT array_agg(k.object_uid), array_agg(k.credential_version), array_agg(k.fingerprint), array_agg(k.namespace),
        array_agg(k.name), array_agg(k.detail), array_agg(k.quota), array_agg(k.quota_period), array_agg(k.ends),
        array_agg(k.verdict)
        INTO uids, versions, fingerprints, namespaces, names, details, limits, periods, valid_until, verdicts
        FROM (SELECT said.object_uid, said.credential_version,
                llmplane_fn.audit_text(said.fingerprint, 128) AS fingerprint,
                llmplane_fn.audit_text(coalesce(c.namespace, said.namespace), 256) AS namespace,
                llmplane_fn.audit_text(coalesce(c.name, said.name), 256) AS name,
                coalesce(nullif(said.detail, 'null'), '{}') AS detail,
                CASE WHEN c.quota_unit = 'Disclosures' THEN c.quota_limit END AS quota, c.quota_period,
                least(c.expires_at, v.grace_until) AS ends,
                CASE
                    WHEN NOT is_swept THEN 'NotSweptYet'
                    WHEN c.uid IS NULL OR c.deleted_at IS NOT NULL THEN 'Gone'
                    WHEN NOT c.is_active THEN 'Disabled'
                    WHEN c.expires_at <= moment THEN 'Expired'
                    WHEN v.version IS NULL OR v.fingerprint IS DISTINCT FROM said.fingerprint
                        -- One that the Secret holds no more, or that another has replaced, ends with its grace.
                        OR v.state NOT IN ('Current', 'Previous')
                        OR NOT coalesce(v.grace_until > moment, v.state = 'Current')
                        THEN 'Superseded'
                    -- A Secret whose entry is gone or malformed leaves the key in use for its grace; a vendor that
                    -- exchanges no further token leaves the one before until it ends.
                    WHEN EXISTS (SELECT FROM jsonb_array_elements(c.conditions) AS told (condition)
                        WHERE condition ->> 'type' = 'Valid' AND condition ->> 'status' = 'False'
                          AND condition ->> 'reason' NOT IN ('SecretFieldMissing', 'KeyMalformed', 'ExchangeRefused')) THEN 'Invalid'
                    ELSE 'Disclosed'
                END AS verdict
            FROM jsonb_array_elements(keys) WITH ORDINALITY AS i (item, place)
            CROSS JOIN LATERAL jsonb_to_record(i.item) AS said (object_uid uuid, credential_version integer,
                fingerprint text, namespace text, name text, detail jsonb)
            LEFT JOIN public.credentials c ON c.uid = said.object_uid
            LEFT JOIN public.credential_versions v ON v.credential_uid = c.uid AND v.version = said.credential_version
            ORDER BY i.place) k;
    retry_after_seconds := array_fill(NULL::integer, ARRAY[cardinality(verdicts)]);

    IF num_nonnulls(VARIADIC limits) > 0 THEN
        given := array_fill(NULL::bigint, ARRAY[cardinality(verdicts)]);
        starts := array_fill(NULL::timestamptz, ARRAY[cardinality(verdicts)]);
        exhausted := array_fill(NULL::integer, ARRAY[cardinality(verdicts)]);
        FOR request IN 1..cardinality(key_of) LOOP
            key := key_of[request];
            CONTINUE WHEN limits[key] IS NULL OR verdicts[key] <> 'Disclosed';
            counter := array_position(uids, uids[key]);
            IF given[counter] IS NULL THEN
                INSERT INTO public.disclosure_counts AS d
                    VALUES (uids[key], llmplane_fn.quota_period_start(periods[key], moment), 0)
                    ON CONFLICT (credential_uid) DO UPDATE
                        -- A clock that was set back begins no new period; a longer period that a change of the
                        -- quota made begins with what was given out in it before.
                        SET used = CASE WHEN excluded.period_start > d.period_start THEN 0 ELSE d.used END,
                            period_start = greatest(d.period_start, excluded.period_start)
                    RETURNING d.used, d.period_start INTO already, start;
                given[counter] := already;
                starts[counter] := start;
            END IF;
            IF given[counter] < limits[key] THEN
                given[counter] := given[counter] + 1;
                CONTINUE;
            END IF;
            IF exhausted[key] IS NULL THEN
                verdicts := verdicts || 'QuotaExhausted'::text;
                valid_until := valid_until || NULL::timestamptz;
                retry_after_seconds := retry_after_seconds || greatest(1, ceil(extract(epoch FROM (starts[counter]
                    AT TIME ZONE 'UTC' + ('1 ' || periods[key])::interval) AT TIME ZONE 'UTC' - moment)))::integer;
                uids := uids || uids[key];
                versions := versions || versions[key];
                fingerprints := fingerprints || fingerprints[key];
                namespaces := namespaces || namespaces[key];
                names := names || names[key];
                details := details || details[key];
                exhausted[key] := cardinality(verdicts);
            END IF;
            key_of[request] := exhausted[key];
        END LOOP;
        UPDATE public.disclosure_counts d SET used = counted.given
            FROM unnest(uids[:cardinality(given)], given) AS counted (uid, given)
            WHERE d.credential_uid = counted.uid AND counted.given IS NOT NULL;
    END IF;
    decision_of := key_of;

    -- What of a row's text, as llmplane_fn.audit_hash has it, is the same in many.
    SELECT array_agg('8:Disclose' || llmplane_fn.audit_field(d.verdict)),
        array_agg(llmplane_fn.audit_field(d.namespace) || '13:LlmCredential' || llmplane_fn.audit_field(d.name)
            || llmplane_fn.audit_field(d.uid::text) || llmplane_fn.audit_field(d.version::text)
            || llmplane_fn.audit_field(d.fingerprint)),
        array_agg('1:1' || llmplane_fn.audit_field(d.detail::text))
        INTO results, begins, ends
        FROM (SELECT * FROM unnest(verdicts, namespaces, names, uids, versions, fingerprints, details) WITH ORDINALITY
            AS d (verdict, namespace, name, uid, version, fingerprint, detail, place) ORDER BY d.place) d;
    SELECT array_agg(t.members::text),
        array_agg(llmplane_fn.audit_field(cardinality(t.members)::text) || coalesce(
            (SELECT string_agg(llmplane_fn.audit_field(n.name), '' ORDER BY n.place)
             FROM unnest(t.members) WITH ORDINALITY AS n (name, place)), ''))
        INTO team_members, team_texts
        FROM (SELECT ARRAY (SELECT llmplane_fn.audit_text(n.name, 256)
                FROM jsonb_array_elements_text(g.team) WITH ORDINALITY AS n (name, place)
                WHERE n.name IS NOT NULL ORDER BY n.place LIMIT 64) AS members
            FROM jsonb_array_elements(teams) WITH ORDINALITY AS g (team, place) ORDER BY g.place) t;

    -- Time that does not go back within the chain, whatever the clock does.
    head.at := greatest(moment, head.at);
    moment_text := llmplane_fn.audit_field((extract(epoch FROM head.at) * 1000000)::bigint::text);
    SELECT array_agg(llmplane_fn.audit_field((head.seq + r.place)::text) || moment_text || results[r.key]
            || llmplane_fn.audit_field(llmplane_fn.audit_text(r.actor, 512))
            || llmplane_fn.audit_field(llmplane_fn.audit_text(r.actor_uid, 128)) || team_texts[r.team]
            || llmplane_fn.audit_field(llmplane_fn.audit_text(r.pod, 256))
            || llmplane_fn.audit_field(llmplane_fn.audit_text(r.pod_uid, 128))
            || llmplane_fn.audit_field(llmplane_fn.audit_text(r.node, 256))
            || llmplane_fn.audit_field(llmplane_fn.audit_text(r.token_id, 256)) || begins[r.key]
            || llmplane_fn.audit_field(llmplane_fn.audit_text(r.purpose, 256)) || ends[r.key] ORDER BY r.place)
        INTO entries
        FROM (SELECT generate_series(1, cardinality(key_of)) AS place, unnest(key_of) AS key, unnest(team_of) AS team,
                unnest(actors) AS actor, unnest(actor_uids) AS actor_uid, unnest(pods) AS pod,
                unnest(pod_uids) AS pod_uid, unnest(nodes) AS node, unnest(token_ids) AS token_id,
                unnest(purposes) AS purpose) r;
    hashes := ARRAY[head.hash];
    FOREACH entry IN ARRAY entries LOOP
        head.hash := sha256(convert_to('audit-row/164:' || encode(head.hash, 'hex') || entry, 'UTF8'));
        hashes := hashes || head.hash;
    END LOOP;

    INSERT INTO public.audit_log (at, seq, action, result, actor, actor_uid, actor_groups, pod, pod_uid, node, token_id,
        namespace, kind, name, object_uid, credential_version, fingerprint, purpose, detail, previous_hash, hash)
    SELECT head.at, head.seq + r.place, 'Disclose', verdicts[r.key], llmplane_fn.audit_text(r.actor, 512),
        llmplane_fn.audit_text(r.actor_uid, 128), t.members, llmplane_fn.audit_text(r.pod, 256),
        llmplane_fn.audit_text(r.pod_uid, 128), llmplane_fn.audit_text(r.node, 256),
        llmplane_fn.audit_text(r.token_id, 256), namespaces[r.key], 'LlmCredential', names[r.key], uids[r.key],
        versions[r.key], fingerprints[r.key], llmplane_fn.audit_text(r.purpose, 256), details[r.key],
        r.previous_hash, r.hash
    FROM (SELECT generate_series(1, cardinality(key_of)) AS place, unnest(key_of) AS key, unnest(team_of) AS team,
            unnest(actors) AS actor, unnest(actor_uids) AS actor_uid, unnest(pods) AS pod, unnest(pod_uids) AS pod_uid,
            unnest(nodes) AS node, unnest(token_ids) AS token_id, unnest(purposes) AS purpose,
            unnest(hashes[:cardinality(key_of)]) AS previous_hash, unnest(hashes[2:]) AS hash) r
    JOIN (SELECT n.place, n.members::text[] AS members FROM unnest(team_members) WITH ORDINALITY AS n (members, place) OFFSET 0) t
        ON t.place = r.team;
    UPDATE public.audit_head SET seq = head.seq + cardinality(key_of), hash = head.hash, at = head.at;
    RETURN NEXT;
END
$$;
