-- SPDX-License-Identifier: Apache-2.0
--
-- Settles rows that were written before every target had answered.

-- What delivery_status says once `p_peer` has settled an event that was taken in at p_fanout_at. p_state: 'delivered',
-- 'expired', 'incompatible' or 'failed'. A delivery that is settled already is left as it is, so repeating is harmless.
CREATE FUNCTION fanout_status_settled(
    p_status jsonb, p_fanout_at timestamptz, p_peer text, p_state text, p_arrived_at timestamptz, p_attempts integer)
RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    WITH delivery AS (
        SELECT n, CASE WHEN d->>'region' = p_peer AND d->>'state' = 'pending'
            THEN jsonb_strip_nulls(jsonb_build_object(
                'region', p_peer, 'success', p_state = 'delivered', 'state', p_state,
                'latencyMs', round((extract(epoch FROM p_arrived_at - p_fanout_at) * 1000)::numeric, 3),
                'attempts', p_attempts, 'ackedAt', to_char(p_arrived_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
                'reason', CASE p_state WHEN 'expired' THEN 'expired' WHEN 'incompatible' THEN 'drop_incompatible' WHEN 'failed' THEN 'rejected' END))
            ELSE d END AS d
        FROM jsonb_array_elements(p_status->'deliveries') WITH ORDINALITY AS e(d, n)
    )
    SELECT jsonb_build_object(
        'success', bool_and((d->>'success')::boolean),
        'state', CASE WHEN bool_or(d->>'state' = 'pending') THEN 'pending' ELSE 'settled' END,
        'deliveries', jsonb_agg(d ORDER BY n),
        'totalLatencyMs', max((d->>'latencyMs')::numeric))
    FROM delivery
$$;

-- Settles p_peer for the rows of one region whose sequences lie in the given ranges (arrays of one length), of epochs from
-- p_epoch_first, where the region's present journal begins, to each range's own. p_exceptions: positions in those
-- ranges that were not delivered, and why. Returns how many rows changed.
CREATE FUNCTION fanout_settle(
    p_region text, p_peer text, p_epoch_first bigint, p_arrived_at timestamptz[], p_epoch bigint[], p_lane smallint[],
    p_from bigint[], p_to bigint[], p_attempts integer[],
    p_exception_lane smallint[], p_exception_sequence bigint[], p_exception_state text[])
RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    ret_count bigint := 0;
    changed bigint;
    table_name text;
BEGIN
    FOREACH table_name IN ARRAY ARRAY['realtime_fanout_log', 'realtime_fanout_repeats'] LOOP
        EXECUTE format($q$
            WITH span AS (
                SELECT * FROM unnest($2, $3, $4, $5, $6, $7) AS s(arrived_at, epoch, lane, from_seq, to_seq, attempts)
            ), outcome AS (
                SELECT l.ctid AS place, fanout_status_settled(l.delivery_status, l.fanout_at, $1,
                    coalesce(x.state, 'delivered'), span.arrived_at, span.attempts) AS status
                FROM span
                JOIN %I l ON NOT l.is_settled AND l.source_region = $11 AND l.lane = span.lane
                    AND l.epoch BETWEEN $12 AND span.epoch AND l.sequence BETWEEN span.from_seq AND span.to_seq AND $1 = ANY (l.target_regions)
                LEFT JOIN unnest($8, $9, $10) AS x(lane, sequence, state) ON x.lane = l.lane AND x.sequence = l.sequence
            )
            UPDATE %I l SET delivery_status = o.status, is_settled = o.status->>'state' = 'settled'
            FROM outcome o WHERE l.ctid = o.place$q$, table_name, table_name)
        USING p_peer, p_arrived_at, p_epoch, p_lane, p_from, p_to, p_attempts,
            p_exception_lane, p_exception_sequence, p_exception_state, p_region, p_epoch_first;
        GET DIAGNOSTICS changed = ROW_COUNT;
        ret_count := ret_count + changed;
    END LOOP;
    RETURN ret_count;
END $$;
