-- SPDX-License-Identifier: Apache-2.0
--
-- How the regions see each other, and how far each region's ledger has come.

-- One row per region and observer. Brokers write theirs when a link changes its state and every 10 seconds besides: a
-- last_check_at older than half a minute means that the observer itself is down or cut off from this database.
CREATE TABLE region_health (
    region_id            text NOT NULL,
    healthy              boolean NOT NULL,
    latency_ms           integer,
    consecutive_failures integer NOT NULL,
    last_check_at        timestamptz NOT NULL,
    observed_by          text NOT NULL,
    state                text NOT NULL,
    since                timestamptz NOT NULL,
    PRIMARY KEY (region_id, observed_by)
);
COMMENT ON TABLE region_health IS 'Each region as each observer sees it; a row that has not moved for half a minute: its observer is gone.';
COMMENT ON COLUMN region_health.latency_ms IS 'Round trip in whole milliseconds, rounded up; null: not measured yet.';
COMMENT ON COLUMN region_health.consecutive_failures IS 'Probes missed in a row.';
COMMENT ON COLUMN region_health.observed_by IS 'The region whose broker says so; for a check made by hand, the database role.';
COMMENT ON COLUMN region_health.state IS 'healthy, suspect, down, probing or recovering, of the direct link from the observer; the first two count as healthy.';
COMMENT ON COLUMN region_health.since IS 'When the state began.';

CREATE FUNCTION update_region_health(
    p_region_id text, p_healthy boolean, p_latency_ms integer DEFAULT NULL, p_consecutive_failures integer DEFAULT 0,
    p_observed_by text DEFAULT current_user, p_state text DEFAULT NULL, p_checked_at timestamptz DEFAULT now())
RETURNS void
LANGUAGE sql AS $$
    INSERT INTO region_health AS h (region_id, healthy, latency_ms, consecutive_failures, last_check_at, observed_by, state, since)
    VALUES (p_region_id, p_healthy, p_latency_ms, p_consecutive_failures, p_checked_at, p_observed_by,
        coalesce(p_state, CASE WHEN p_healthy THEN 'healthy' ELSE 'down' END), p_checked_at)
    ON CONFLICT (region_id, observed_by) DO UPDATE SET healthy = excluded.healthy, latency_ms = excluded.latency_ms,
        consecutive_failures = excluded.consecutive_failures, last_check_at = excluded.last_check_at, state = excluded.state,
        since = CASE WHEN h.state = excluded.state THEN h.since ELSE excluded.since END
$$;

-- Moved with the cursor, in the rows' transaction; complete_to moves every 10 seconds even when there is nothing to write.
ALTER TABLE fanout_ledger_cursor
    ADD COLUMN rows_written bigint NOT NULL DEFAULT 0,  -- into realtime_fanout_log, ever
    ADD COLUMN complete_to timestamptz;                 -- what the region acknowledged before it is in the ledger
UPDATE fanout_ledger_cursor c SET rows_written =
    (SELECT count(*) FROM realtime_fanout_log l WHERE l.source_region = c.region AND l.epoch IS NOT NULL);

CREATE FUNCTION get_region_sync_status()
RETURNS TABLE (
    region_id text,
    status text,                        -- as in regions; null: not listed there
    rows_written bigint,                -- by the region's broker, ever
    rows_pending bigint,                -- of these, with some target's outcome open
    newest_row_at timestamptz,
    complete_to timestamptz,            -- what was acknowledged before it is in the ledger
    lag_ms bigint,                      -- since complete_to; up to 10 seconds in a region with nothing to write
    reported_at timestamptz)            -- when the region's broker last wrote here
LANGUAGE sql STABLE AS $$
    SELECT coalesce(r.id, c.region), r.status, coalesce(c.rows_written, 0),
        (SELECT count(*) FROM realtime_fanout_log l WHERE l.source_region = coalesce(r.id, c.region) AND NOT l.is_settled),
        (SELECT max(newest.fanout_at) FROM unnest(ARRAY[0, 1, 2]::smallint[]) AS lane CROSS JOIN LATERAL
            (SELECT l.fanout_at FROM realtime_fanout_log l WHERE l.source_region = c.region AND l.lane = lane.lane
                AND l.epoch = (SELECT max(e.epoch) FROM realtime_fanout_log e WHERE e.source_region = c.region)
            ORDER BY l.sequence DESC LIMIT 1) AS newest),
        c.complete_to, CASE WHEN c.complete_to IS NOT NULL THEN greatest(0, extract(epoch FROM now() - c.complete_to) * 1000)::bigint END, c.updated_at
    FROM regions r FULL JOIN fanout_ledger_cursor c ON c.region = r.id
    ORDER BY 1
$$;

REVOKE ALL ON region_health FROM PUBLIC;
REVOKE ALL ON FUNCTION update_region_health(text, boolean, integer, integer, text, text, timestamptz), get_region_sync_status() FROM PUBLIC;
GRANT SELECT, INSERT, UPDATE ON region_health TO fanout_broker;
GRANT EXECUTE ON FUNCTION update_region_health(text, boolean, integer, integer, text, text, timestamptz) TO fanout_broker;
GRANT SELECT ON region_health TO fanout_reader;
GRANT EXECUTE ON FUNCTION get_region_sync_status() TO fanout_reader, fanout_broker;
