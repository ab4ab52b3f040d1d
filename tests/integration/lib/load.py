# SPDX-License-Identifier: Apache-2.0
"""A publisher that keeps an account: which events were acknowledged, so that afterwards each can be looked for."""
import threading
import time
from collections import Counter

from . import sp
from .cluster import ask, wait_until


class Load:
    """Publishes small batches to one broker until stopped, whatever happens to the broker; for a with statement.

    An event whose answer was lost is sent again under its id, as a real publisher would."""

    def __init__(self, broker, prefix, batch=5, pause_s=0.01):
        self.broker, self.prefix, self.batch, self.pause_s = broker, prefix, batch, pause_s
        self.acknowledged, self.failures = [], Counter()
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *unused):
        self.stopping.set()
        self.thread.join(60)

    def wait_for(self, count, timeout=60):
        """Until that many more have been acknowledged."""
        goal = len(self.acknowledged) + count
        wait_until(lambda: len(self.acknowledged) >= goal, f"{count} more events are acknowledged", timeout)

    def _run(self):
        number, pending = 0, []
        while not self.stopping.is_set() or (pending and self.failures["giving up"] < 100):
            try:
                with sp.Req(self.broker.door, timeout=2) as req:
                    while not self.stopping.is_set() or pending:
                        if not pending:
                            pending = [f"{self.prefix}-{number + i}" for i in range(self.batch)]
                            number += self.batch
                        pending = self._send(req, pending)
                        time.sleep(self.pause_s)
            except (OSError, sp.Closed) as error:
                self.failures[type(error).__name__] += 1
                self.failures["giving up"] += self.stopping.is_set()
                time.sleep(0.05)

    def _send(self, req, pending):
        """Publishes; what was refused for now is what remains."""
        events = [{"type": "custom", "id": i, "partitionkey": "one", "data": {"n": i}} for i in pending]
        answer = ask(req, {"events": events, "wait": "accepted"}, 10)
        if "results" not in answer:
            self.failures[answer["error"]["code"]] += 1
            time.sleep(answer["error"].get("retryAfterMs", 50) / 1000)
            return pending
        remaining = []
        for event_id, result in zip(pending, answer["results"]):
            if result["success"]:
                self.acknowledged.append(event_id)
            else:
                self.failures[result["error"]["code"]] += 1
                remaining.append(event_id)
        return remaining


def ids_with(broker, prefix):
    return [e["id"] for _, e in broker.fetch_all() if e["id"].startswith(prefix)]


def account(test, cluster, load, timeout=90):
    """Every acknowledged event stands exactly once in every region and, if there is one, in the ledger exactly once; and the auditor agrees."""
    acknowledged = set(load.acknowledged)
    test.assertEqual(len(acknowledged), len(load.acknowledged))
    test.assertGreater(len(acknowledged), 0)
    for broker in cluster:
        def missing(b=broker):
            return acknowledged - set(ids_with(b, load.prefix))
        try:
            wait_until(lambda: not missing(), "all has arrived", timeout)
        except AssertionError:
            lost = sorted(missing())
            test.fail(f"{broker.region} lacks {len(lost)} of {len(acknowledged)} acknowledged events: {lost[:5]} ...")
        counts = Counter(ids_with(broker, load.prefix))
        test.assertEqual([i for i, n in counts.items() if n > 1], [], f"{broker.region} has these more than once")
    if cluster.postgres:
        psql = cluster.postgres.psql

        def rows():
            return int(psql(f"SELECT count(*) FROM realtime_fanout_log WHERE event_id LIKE '{load.prefix}-%'"))
        wait_until(lambda: rows() >= len(acknowledged), "all rows are in the ledger", timeout)
        in_ledger = Counter(psql(f"SELECT event_id FROM realtime_fanout_log WHERE event_id LIKE '{load.prefix}-%'").split())
        test.assertLessEqual(acknowledged, set(in_ledger))
        test.assertEqual([i for i, n in in_ledger.items() if n > 1], [])
        wait_until(lambda: psql(f"SELECT count(*) FROM realtime_fanout_log WHERE event_id LIKE '{load.prefix}-%' "
                                "AND NOT (delivery_status->>'success')::boolean") == "0", "every row says success", timeout)
    cluster.judge(timeout)
