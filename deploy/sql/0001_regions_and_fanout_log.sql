-- SPDX-License-Identifier: Apache-2.0
--
-- The ledger in the primary PostgreSQL: one row of realtime_fanout_log per event, written by the broker of the region that
-- accepted it. Nothing here refers to regions by foreign key: a row arrives whether or not somebody has listed its region.

CREATE TABLE regions (
    id              text PRIMARY KEY,                   -- 'us-east-1'
    name            text NOT NULL,                      -- 'US East (N. Virginia)'
    is_primary      boolean NOT NULL DEFAULT false,
    is_read_replica boolean NOT NULL DEFAULT true,
    status          text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'degraded', 'offline'))
);
COMMENT ON TABLE regions IS 'The regions there are; `fanout migrate --region` adds them. At most one is the primary.';
CREATE UNIQUE INDEX regions_one_primary ON regions (is_primary) WHERE is_primary;

-- The first seven columns are what queries and dashboards know. A row that log_realtime_fanout() made has no
-- epoch, lane and sequence; a row that a broker made always has.
CREATE TABLE realtime_fanout_log (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_type      text NOT NULL,
    source_region   text NOT NULL,
    target_regions  text[] NOT NULL,
    payload_size    integer NOT NULL,
    fanout_at       timestamptz NOT NULL DEFAULT now(),
    delivery_status jsonb NOT NULL,
    tenant          text NOT NULL DEFAULT 'default',
    event_id        text NOT NULL DEFAULT gen_random_uuid()::text,
    epoch           bigint,
    lane            smallint CHECK (lane BETWEEN 0 AND 2),
    sequence        bigint,
    is_settled      boolean NOT NULL DEFAULT true,
    CONSTRAINT realtime_fanout_log_event UNIQUE (tenant, event_id),
    CONSTRAINT realtime_fanout_log_position UNIQUE (source_region, epoch, lane, sequence)
);
COMMENT ON TABLE realtime_fanout_log IS 'One row per event, by the region that accepted it.';
COMMENT ON COLUMN realtime_fanout_log.target_regions IS 'The other regions it was for; the accepting region has it anyway.';
COMMENT ON COLUMN realtime_fanout_log.payload_size IS 'Bytes of the event''s data as stored.';
COMMENT ON COLUMN realtime_fanout_log.fanout_at IS 'When the accepting broker took it in.';
COMMENT ON COLUMN realtime_fanout_log.delivery_status IS
    '{"success": every target has it, "state": "settled" | "pending", "deliveries": [{"region", "success", "state": "delivered" | "pending" | "expired" | "incompatible" | "failed", "latencyMs", "attempts", "ackedAt", "reason" unless delivered}], "totalLatencyMs": the slowest}';
COMMENT ON COLUMN realtime_fanout_log.lane IS '0 high, 1 normal, 2 low. With epoch and sequence: the event''s position.';
COMMENT ON COLUMN realtime_fanout_log.is_settled IS 'False while some target''s outcome is open; a later ack settles the row.';
CREATE INDEX realtime_fanout_log_fanout_at ON realtime_fanout_log USING brin (fanout_at) WITH (autosummarize = on);
CREATE INDEX realtime_fanout_log_pending ON realtime_fanout_log (source_region, lane, sequence) WHERE NOT is_settled;

-- The same event id accepted a second time: in another region, or after a broker had forgotten the first. The log keeps
-- one row per event; the other acceptances are kept here, with the log's row they repeat.
CREATE TABLE realtime_fanout_repeats (
    first_id        bigint NOT NULL,
    event_type      text NOT NULL,
    source_region   text NOT NULL,
    target_regions  text[] NOT NULL,
    payload_size    integer NOT NULL,
    fanout_at       timestamptz NOT NULL,
    delivery_status jsonb NOT NULL,
    tenant          text NOT NULL,
    event_id        text NOT NULL,
    epoch           bigint NOT NULL,
    lane            smallint NOT NULL,
    sequence        bigint NOT NULL,
    is_settled      boolean NOT NULL,
    PRIMARY KEY (source_region, epoch, lane, sequence)
);

-- What PostgreSQL refused to take as a row (text that cannot be stored, for one): kept as bytes, so that nothing is lost and
-- nothing behind it has to wait.
CREATE TABLE realtime_fanout_quarantine (
    source_region   text NOT NULL,
    epoch           bigint NOT NULL,
    lane            smallint NOT NULL,
    sequence        bigint NOT NULL,
    tenant          bytea NOT NULL,
    event_id        bytea NOT NULL,
    event_type      bytea NOT NULL,
    reason          text NOT NULL,
    noticed_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (source_region, epoch, lane, sequence)
);

-- How far each region's journal has been written here; moved in the transaction that writes the rows, hence exactly once.
CREATE TABLE fanout_ledger_cursor (
    region          text PRIMARY KEY,
    epoch           bigint NOT NULL,        -- of the broker's data directory
    lsn             bigint NOT NULL,        -- everything below it is in the tables above
    updated_at      timestamptz NOT NULL DEFAULT now()
);

-- Logs one fan-out by hand or from another service; brokers write their rows in bulk instead. Given an event id that the log
-- has, it changes nothing and returns that row's id.
CREATE FUNCTION log_realtime_fanout(
    p_event_type text, p_source_region text, p_target_regions text[], p_payload_size integer, p_delivery_status jsonb,
    p_event_id text DEFAULT NULL, p_tenant text DEFAULT 'default')
RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    ret_id bigint;
BEGIN
    INSERT INTO realtime_fanout_log (event_type, source_region, target_regions, payload_size, delivery_status, tenant, event_id)
    VALUES (p_event_type, p_source_region, p_target_regions, p_payload_size, p_delivery_status, p_tenant,
        coalesce(p_event_id, gen_random_uuid()::text))
    ON CONFLICT ON CONSTRAINT realtime_fanout_log_event DO NOTHING
    RETURNING id INTO ret_id;
    IF ret_id IS NULL THEN
        SELECT id INTO ret_id FROM realtime_fanout_log WHERE tenant = p_tenant AND event_id = p_event_id;
    END IF;
    RETURN ret_id;
END $$;
