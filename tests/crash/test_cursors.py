# SPDX-License-Identifier: Apache-2.0
"""Cursors that nobody was given, and cursors into a damaged journal: the first are refused, or mean the next event, without a word in the
log; with the second a reader goes on behind what is damaged, which the log names once."""
import unittest

from shim import SOURCE, count
from lib.cluster import running

EVENTS = 30


class Cursors(unittest.TestCase):
    def published(self, broker, first=0, count=EVENTS):
        for number in range(first, first + count):
            self.assertTrue(broker.publish("custom", {"pad": "x" * 8000}, id=str(number))["success"])

    def fetch(self, broker, cursor, max=1000):
        return broker.ask({"op": "fetch", "cursor": cursor, "max": max, "waitMs": 0})

    def cursors(self, broker):
        """The cursor behind each event."""
        answer, found = broker.ask({"op": "fetch", "from": "earliest", "max": 1, "waitMs": 0}), []
        while answer["events"]:
            found.append(answer["cursor"])
            answer = self.fetch(broker, answer["cursor"], 1)
        return found

    def moved(self, cursor, by):
        """In the normal lane, where the events are."""
        head, lsn, index, low_lsn, low_index = cursor.rsplit(".", 4)
        return f"{head}.{int(lsn, 16) + by:x}.{index}.{low_lsn}.{low_index}"

    def follow(self, broker, cursor):
        """What comes behind a cursor, to the end; or the error."""
        ids, answer = [], self.fetch(broker, cursor)
        while answer["success"] and answer["events"]:
            ids += [e["event"]["id"] for e in answer["events"]]
            answer = self.fetch(broker, answer["cursor"])
        return ids, answer.get("error", {})

    def test_made_up_cursors_are_harmless(self):
        with running(regions=(SOURCE,)) as cluster:
            broker = cluster.first
            self.published(broker)
            given = self.cursors(broker)
            self.assertEqual(len(given), EVENTS)
            whole = [str(n) for n in range(EVENTS)]
            before, tried = len(broker.log_lines()), 0
            for by in (*range(1, 64), 200, 400, 800):
                ids, error = self.follow(broker, self.moved(given[7], by))
                if error:
                    self.assertEqual((error.get("code"), error.get("path")), ("invalid", "cursor"), f"moved by {by}")
                else:
                    self.assertEqual(ids, whole[9:], f"moved by {by}")
                tried += 1
            self.assertEqual(len(broker.log_lines()), before, broker.log_tail())
            self.assertEqual(self.follow(broker, given[7])[0], whole[8:])
        count(f"made-up cursors: {tried}")

    def test_a_cursor_on_a_damaged_record_goes_on_behind_it(self):
        with running(regions=(SOURCE,)) as cluster:
            broker = cluster.first
            self.published(broker)
            given = self.cursors(broker)
            lsn = int(given[7].rsplit(".", 4)[1], 16)
            [segment] = (broker.dir / "data/journal").glob("*.seg")
            with segment.open("r+b") as file:
                file.seek(lsn + 20)             # in the record's header, so that only its neighbours tell where it stands
                byte = file.read(1)[0]
                file.seek(lsn + 20)
                file.write(bytes([byte ^ 4]))
            self.published(broker, EVENTS, 2 * EVENTS)     # more than a reader keeps in memory: it goes back to the file for what stands before
            broker.fetch_all()
            whole = [str(n) for n in range(3 * EVENTS)]
            read = [e["id"] for _, e in broker.fetch_all()]
            self.assertEqual(len(read), 3 * EVENTS - 1)
            self.assertLess(set(read), set(whole))
            for _ in range(5):
                ids, error = self.follow(broker, given[7])
                self.assertEqual(error, {})
                self.assertEqual(ids, read[-len(ids):])
                self.assertGreaterEqual(len(ids), 3 * EVENTS - 9)
            self.assertEqual(len(broker.log_lines("journal_damaged")), 1)


if __name__ == "__main__":
    unittest.main()
