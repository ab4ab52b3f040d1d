-- SPDX-License-Identifier: Apache-2.0
--
-- Who may do what. fanout_broker writes rows and settles them, and can neither delete nor alter anything; fanout_reader
-- reads. Roles belong to the whole cluster: ones that exist already, made by an administrator with a password or without
-- login, are left as they are. Neither is given a password here.
DO $$
DECLARE
    role_name text;
BEGIN
    FOREACH role_name IN ARRAY ARRAY['fanout_broker', 'fanout_reader'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role_name) THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOINHERIT', role_name);
            EXCEPTION WHEN duplicate_object OR unique_violation THEN
                NULL;   -- another database of this cluster was quicker
            END;
        END IF;
    END LOOP;
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO fanout_broker, fanout_reader', current_database());
    EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO fanout_broker', current_database());
END $$;

REVOKE ALL ON regions, realtime_fanout_log, realtime_fanout_repeats, realtime_fanout_quarantine, fanout_ledger_cursor,
    fanout_deliveries FROM PUBLIC;
REVOKE ALL ON FUNCTION log_realtime_fanout(text, text, text[], integer, jsonb, text, text),
    fanout_status_settled(jsonb, timestamptz, text, text, timestamptz, integer),
    fanout_settle(text, text, bigint, timestamptz[], bigint[], smallint[], bigint[], bigint[], integer[], smallint[], bigint[], text[]),
    fanout_report(timestamptz, timestamptz), fanout_explain(text, text) FROM PUBLIC;

GRANT SELECT ON regions TO fanout_broker;
GRANT SELECT, INSERT ON realtime_fanout_log, realtime_fanout_repeats TO fanout_broker;
GRANT UPDATE (delivery_status, is_settled) ON realtime_fanout_log, realtime_fanout_repeats TO fanout_broker;
GRANT SELECT, INSERT ON realtime_fanout_quarantine TO fanout_broker;
GRANT SELECT, INSERT, UPDATE ON fanout_ledger_cursor TO fanout_broker;
GRANT EXECUTE ON FUNCTION log_realtime_fanout(text, text, text[], integer, jsonb, text, text),
    fanout_status_settled(jsonb, timestamptz, text, text, timestamptz, integer),
    fanout_settle(text, text, bigint, timestamptz[], bigint[], smallint[], bigint[], bigint[], integer[], smallint[], bigint[], text[])
    TO fanout_broker;

GRANT SELECT ON regions, realtime_fanout_log, realtime_fanout_repeats, realtime_fanout_quarantine, fanout_ledger_cursor,
    fanout_deliveries TO fanout_reader, fanout_broker;
GRANT EXECUTE ON FUNCTION fanout_report(timestamptz, timestamptz), fanout_explain(text, text) TO fanout_reader, fanout_broker;
