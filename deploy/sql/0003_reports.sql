-- SPDX-License-Identifier: Apache-2.0
--
-- What operators ask the ledger; `fanout report --ledger` and `fanout explain` select from these.

-- Every delivery as a row of its own. State 'failed' stands for whatever else a hand-written row says.
CREATE VIEW fanout_deliveries AS
SELECT l.id, l.tenant, l.event_id, l.event_type, l.source_region, l.fanout_at, d.region,
    CASE WHEN d.state IN ('delivered', 'pending', 'expired', 'incompatible') THEN d.state
         WHEN d.state IS NULL AND d.success THEN 'delivered' ELSE 'failed' END AS state,
    d."latencyMs" AS latency_ms, d.attempts, d."ackedAt" AS acked_at
FROM realtime_fanout_log l
CROSS JOIN LATERAL jsonb_to_recordset(
    CASE WHEN jsonb_typeof(l.delivery_status->'deliveries') = 'array' THEN l.delivery_status->'deliveries' ELSE '[]' END)
    AS d(region text, success boolean, state text, "latencyMs" double precision, attempts integer, "ackedAt" timestamptz);
COMMENT ON VIEW fanout_deliveries IS 'One row per event and target region.';

-- Deliveries of the events taken in from p_since (inclusive) to p_until, per type and target region.
CREATE FUNCTION fanout_report(p_since timestamptz, p_until timestamptz)
RETURNS TABLE (
    type text,                          -- event type
    region text,                        -- target region
    total bigint,                       -- deliveries asked for; the next five add up to it
    delivered bigint,
    pending bigint,
    expired bigint,
    incompatible bigint,
    failed bigint,
    success_rate double precision,      -- delivered / total, 0 to 1
    p50_ms double precision,            -- latency of what was delivered: acceptance to ack; null when there is none
    p95_ms double precision,
    p99_ms double precision,
    max_ms double precision)
LANGUAGE sql STABLE AS $$
    SELECT d.event_type, d.region, count(*),
        count(*) FILTER (WHERE d.state = 'delivered'),
        count(*) FILTER (WHERE d.state = 'pending'),
        count(*) FILTER (WHERE d.state = 'expired'),
        count(*) FILTER (WHERE d.state = 'incompatible'),
        count(*) FILTER (WHERE d.state = 'failed'),
        count(*) FILTER (WHERE d.state = 'delivered')::double precision / count(*),
        percentile_cont(0.5) WITHIN GROUP (ORDER BY d.latency_ms) FILTER (WHERE d.state = 'delivered'),
        percentile_cont(0.95) WITHIN GROUP (ORDER BY d.latency_ms) FILTER (WHERE d.state = 'delivered'),
        percentile_cont(0.99) WITHIN GROUP (ORDER BY d.latency_ms) FILTER (WHERE d.state = 'delivered'),
        max(d.latency_ms) FILTER (WHERE d.state = 'delivered')
    FROM fanout_deliveries d
    WHERE d.fanout_at >= p_since AND d.fanout_at < p_until
    GROUP BY d.event_type, d.region
    ORDER BY d.event_type, d.region
$$;

-- The ledger's row of one event, and the rows of its repeated acceptances behind it. No row: not (yet) in the ledger.
CREATE FUNCTION fanout_explain(p_tenant text, p_event_id text)
RETURNS TABLE (
    id bigint,                          -- of realtime_fanout_log; of a repeat: the row that it repeats
    is_repeat boolean,
    event_type text,
    source_region text,
    target_regions text[],
    payload_size integer,
    fanout_at timestamptz,
    delivery_status jsonb,
    "position" text)                    -- 'us-east-1:18f3c2a1b00:high:42', as brokers print it; null for a hand-written row
LANGUAGE sql STABLE AS $$
    SELECT r.id, r.is_repeat, r.event_type, r.source_region, r.target_regions, r.payload_size, r.fanout_at, r.delivery_status,
        r.source_region || ':' || to_hex(r.epoch) || ':' || (ARRAY['high', 'normal', 'low'])[r.lane + 1] || ':' || r.sequence
    FROM (
        SELECT l.id, false AS is_repeat, l.event_type, l.source_region, l.target_regions, l.payload_size, l.fanout_at,
            l.delivery_status, l.epoch, l.lane, l.sequence
        FROM realtime_fanout_log l WHERE l.tenant = p_tenant AND l.event_id = p_event_id
        UNION ALL
        SELECT r.first_id, true, r.event_type, r.source_region, r.target_regions, r.payload_size, r.fanout_at,
            r.delivery_status, r.epoch, r.lane, r.sequence
        FROM realtime_fanout_repeats r WHERE r.first_id =
            (SELECT l.id FROM realtime_fanout_log l WHERE l.tenant = p_tenant AND l.event_id = p_event_id)
    ) r
    ORDER BY r.is_repeat, r.fanout_at
$$;
