-- SPDX-License-Identifier: Apache-2.0
--
-- Settles a row by its own epoch. After a loss a sequence may stand in two epochs, for two events, of which the peer has one; and a
-- row of an epoch that the journal no longer holds is settled like any other.

DROP FUNCTION fanout_settle(text, text, bigint, timestamptz[], bigint[], smallint[], bigint[], bigint[], integer[], smallint[], bigint[], text[]);

-- Settles p_peer for the rows of one region whose sequences lie in the given ranges (arrays of one length), each of one epoch.
-- p_exceptions: positions in those ranges that were not delivered, and why. Returns how many rows changed.
CREATE FUNCTION fanout_settle(
    p_region text, p_peer text, p_arrived_at timestamptz[], p_epoch bigint[], p_lane smallint[],
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
                    AND l.epoch = span.epoch AND l.sequence BETWEEN span.from_seq AND span.to_seq AND $1 = ANY (l.target_regions)
                LEFT JOIN unnest($8, $9, $10) AS x(lane, sequence, state) ON x.lane = l.lane AND x.sequence = l.sequence
            )
            UPDATE %I l SET delivery_status = o.status, is_settled = o.status->>'state' = 'settled'
            FROM outcome o WHERE l.ctid = o.place$q$, table_name, table_name)
        USING p_peer, p_arrived_at, p_epoch, p_lane, p_from, p_to, p_attempts,
            p_exception_lane, p_exception_sequence, p_exception_state, p_region;
        GET DIAGNOSTICS changed = ROW_COUNT;
        ret_count := ret_count + changed;
    END LOOP;
    RETURN ret_count;
END $$;

REVOKE ALL ON FUNCTION
    fanout_settle(text, text, timestamptz[], bigint[], smallint[], bigint[], bigint[], integer[], smallint[], bigint[], text[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
    fanout_settle(text, text, timestamptz[], bigint[], smallint[], bigint[], bigint[], integer[], smallint[], bigint[], text[]) TO fanout_broker;
