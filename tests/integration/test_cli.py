# SPDX-License-Identifier: Apache-2.0
"""The fanout command and libfanout's examples, as an operator and a service use them: what they print, and how they end."""
import datetime
import json
import os
import re
import signal
import subprocess
import unittest
from pathlib import Path

from lib.cluster import BUILD, ROOT, Cluster, running, run, wait_until
from lib.ports import free_url

READY = '{"order_id": 7, "status": "ready"}'


def bytes_unread(address):
    """What has come in at an address tcp://127.0.0.1:PORT, over all its connections, and was not read yet."""
    at = f"0100007F:{int(address.rpartition(':')[2]):04X}"
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(int(row[4].split(":")[1], 16) for row in rows if row[1] == at and row[3] == "01")


class Cli(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster().start()

    @classmethod
    def tearDownClass(cls):
        try:
            cls.cluster.close()
        except AssertionError:
            cls.cluster.show_logs()
            raise
        finally:
            cls.cluster.remove()

    def cli(self, *args, status=0, **options):
        done = self.cluster.cli(*args, check=False, **options)
        self.assertEqual(done.returncode, status, f"fanout {' '.join(map(str, args))}\n{done.stdout}{done.stderr}")
        return done

    def all_doors(self):
        return [word for broker in self.cluster for word in ("-b", broker.door)]

    def publish(self, *args):
        return json.loads(self.cli("pub", "order_status", READY, "--json", *args).stdout)

    def test_help_names_every_command_and_unknown_ones_are_guessed(self):
        text = self.cli("--help").stdout
        for command in ("pub", "sub", "report", "explain", "region", "keys", "migrate", "doctor", "bench"):
            self.assertIn(f"\n  {command}", text)
            self.assertIn("Examples:", self.cli("help", command).stdout)
        self.assertIn("did you mean 'report'", self.cli("reprot", status=2).stderr)
        self.assertRegex(self.cli("--version").stdout, r"^fanout \d+\.\d+\.\d+\n$")
        self.cli(status=2)

    def test_what_is_misspelt_is_a_usage_error_and_named(self):
        for command in ("pub", "sub", "explain", "report", "audit", "region", "doctor", "bench", "keys", "migrate"):
            with self.subTest(command):
                said = self.cli(command, "--brokker=x", status=2).stderr
                self.assertRegex(said, f"unrecognized option '--brokker=x'\n(.*\n)?.*fanout {command} --help")
        for args, said in ((("bench", "-s", "foo"), "foo: not an address"), (("bench", "-b", "foo"), "foo: not an address"),
                           (("migrate", "-c", "hots=x"), 'invalid connection option "hots"'),
                           (("report", "--ledger", "hots=x"), 'invalid connection option "hots"'),
                           (("audit", "--ledger", "hots=x"), 'invalid connection option "hots"'),
                           (("explain", "id", "--ledger", "hots=x"), 'invalid connection option "hots"'),
                           (("migrate", "--sql", "--region", "US EAST!"), "'US EAST!' is no region's ID"),
                           (("migrate", "--sql", "--region", "us-east-=US"), "'us-east-' is no region's ID"),
                           (("migrate", "--sql", "--region", "us-east-1="), "ID or ID=NAME"),
                           (("migrate", "--sql", "--region", "us-east-1", "--primary", "eu-west-1"), "no --region eu-west-1 is given")):
            with self.subTest(" ".join(args)):
                self.assertIn(said, self.cli(*args, status=2).stderr)
        self.assertIn("Exit status:", self.cli("migrate", "--help").stdout)

    def test_pub_prints_the_regions_and_refuses_with_the_place(self):
        text = self.cli("pub", "order_status", READY, "--key", "order-7", "--wait", "all").stdout
        self.assertRegex(text, r"accepted \S{36} at us-east-1:[0-9a-f]+:high:\d+\n")
        for region in ("us-west-2", "eu-west-1"):
            self.assertRegex(text, rf"{region} +delivered +[0-9.]+ ms +\d+")
        self.assertIn("data.status", self.cli("pub", "order_status", '{"order_id": 7}', status=1).stderr)
        self.assertIn("unknown_type", self.cli("pub", "no_such_type", "{}", status=1).stderr)
        self.cli("pub", "order_status", "{", status=2)
        self.cli("pub", status=2)
        self.cli("pub", "order_status", READY, "--wait", "some", status=2)
        self.assertIn("no broker can be reached", self.cli("pub", "order_status", READY, "-b", free_url("tcp"), status=3).stderr)

    def test_a_broker_for_each_of_64_regions(self):
        self.cli("pub", "order_status", READY, *("-b", self.cluster.first.door) * 64)
        self.assertIn("at most 64 brokers", self.cli("pub", "order_status", READY, *("-b", self.cluster.first.door) * 65, status=2).stderr)

    def test_pub_carries_what_it_is_told(self):
        answer = self.publish("--id", "cli-1", "--tenant", "acme", "--key", "k", "--priority", "low", "--target", "eu-west-1",
                              "--field", "colour=red", "--field", "size=3", "--wait", "all")
        self.assertEqual([d["region"] for d in answer["deliveries"]], ["eu-west-1"])
        (_, event), = self.cluster["eu-west-1"].fetch_all({"tenant": "acme"})
        self.assertEqual({k: event[k] for k in ("id", "partitionkey", "priority", "colour", "size")},
                         {"id": "cli-1", "partitionkey": "k", "priority": "low", "colour": "red", "size": 3})
        self.assertTrue(self.publish("--id", "cli-1", "--tenant", "acme")["duplicate"])

    def test_pub_reads_lines_and_tells_the_wrong_ones(self):
        lines = '{"type": "custom", "id": "line-1", "tenant": "lines", "data": {"n": 1}}\nnonsense\n\n' \
                '{"type": "no_such_type"}\n{"type": "custom", "id": "line-5", "tenant": "lines", "partitionkey": "k", "data": [1]}\n'
        done = self.cli("pub", "-", stdin=lines, status=5)
        self.assertIn("2 accepted", done.stdout)
        self.assertRegex(done.stderr, r"line 2: .*\n(.*\n)*.*line 4: unknown_type")
        self.assertEqual([e["id"] for _, e in self.cluster.first.fetch_all({"tenant": "lines"})], ["line-1", "line-5"])
        self.cli("pub", "custom", "-", "--tenant", "payloads", stdin='{"n": 1}\n{"n": 2}\n{"n": 3}\n')
        self.assertEqual([e["data"]["n"] for _, e in self.cluster.first.fetch_all({"tenant": "payloads"})], [1, 2, 3])

    def test_pub_count_publishes_as_many(self):
        self.assertIn("3000 accepted", self.cli("pub", "custom", "{}", "--tenant", "counted", "--count", "3000").stdout)
        self.assertEqual(len({e["id"] for _, e in self.cluster.first.fetch_all({"tenant": "counted"})}), 3000)

    def interrupted(self, *args, stdin=None, after):
        """What `fanout pub` says that gets a SIGINT when after(pub) returns, with its input still open."""
        env = dict(os.environ, FANOUT_BROKER=self.cluster.first.door)
        pub = subprocess.Popen([BUILD / "src/cmd/fanout", "pub", *args], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)
        with pub:
            try:
                pub.stdin.write(stdin or "")
                pub.stdin.flush()
                after(pub)
                pub.send_signal(signal.SIGINT)
                self.assertEqual(pub.wait(30), 130)
                return pub.stdout.read(), pub.stderr.read()
            finally:
                pub.kill()

    def test_pub_interrupted_tells_what_became_of_its_events(self):
        broker = self.cluster.first

        def arrived(tenant):
            return len(broker.fetch_all({"tenant": tenant}))

        def freeze_and_send(pub):
            wait_until(lambda: arrived("typing") == 3, "the lines have arrived")
            broker.process.send_signal(signal.SIGSTOP)
            pub.stdin.write("4\n")
            pub.stdin.flush()
            wait_until(lambda: bytes_unread(broker.door) > 0, "a fourth one waits for the broker that does not move")

        out, _ = self.interrupted("custom", "{}", "--tenant", "counting", "--count", "1000000", "--rate", "200",
                                  after=lambda _: wait_until(lambda: arrived("counting") > 20, "events have arrived"))
        accepted = int(re.match(r"interrupted: (\d+) accepted, 0 refused in ", out).group(1))
        self.assertEqual(accepted, arrived("counting"))
        try:
            out, err = self.interrupted("custom", "-", "--tenant", "typing", "--timeout", "1s", stdin="1\n2\n3\n", after=freeze_and_send)
        finally:
            broker.process.send_signal(signal.SIGCONT)
        self.assertRegex(out, r"^interrupted: 3 accepted, 0 refused, 1 in doubt in ")
        self.assertRegex(err, r"line 4: .*; its id is \S{36}\n")

    def test_sub_goes_on_where_its_file_says(self):
        for n in range(1, 6):
            self.cluster.first.publish("custom", {"n": n}, tenant="cursor", wait="all")
        saved, seen = self.cluster.dir / "cursor-file", []
        for count, broker in ((2, "us-west-2"), (1, "us-west-2"), (2, "eu-west-1")):    # the last one in another region
            text = self.cli("sub", "--tenant", "cursor", "--from", "earliest", "--cursor-file", saved, "--count", count, "--json",
                            broker=self.cluster[broker]).stdout
            seen += [json.loads(line)["data"]["n"] for line in text.splitlines()]
        self.assertEqual(seen, [1, 2, 3, 4, 5])
        self.assertIn("custom  cursor  {\"n\":1}", self.cli("sub", "--tenant", "cursor", "--from", "1h", "--count", "1").stdout)

    def test_sub_says_at_once_what_is_wrong_with_its_place(self):
        self.publish("--wait", "all")
        for cursor in ("nonsense~", "nonsense", "c2.0"):
            with self.subTest(cursor):
                self.assertIn("--cursor: ", self.cli("sub", "--cursor", cursor, "--count", "1", status=2).stderr)
                saved = self.cluster.dir / "bad-cursor"
                saved.write_text(cursor + "\n")
                said = self.cli("sub", "--cursor-file", saved, "--count", "1", status=2).stderr
                self.assertRegex(said, f"{saved}: .*cursor.*; remove the file to begin anew")
                self.assertEqual(saved.read_text(), cursor + "\n")
        empty = self.cluster.dir / "empty-cursor"
        empty.write_text("")
        for path, why in ((self.cluster.dir, "Is a directory"), (empty, "is empty"), (self.cluster.dir / "no-such/cursor", "cannot be written: No such file")):
            with self.subTest(why):
                done = self.cli("sub", "--cursor-file", path, "--from", "earliest", "--count", "1", status=2)
                self.assertIn(f"{path}: {why}", done.stderr)
                self.assertEqual(done.stdout, "")

    def test_sub_refuses_a_region_that_the_broker_does_not_know(self):
        said = self.cli("sub", "--region", "us-east-2", "--count", "1", status=1).stderr
        self.assertRegex(said, "unknown_region at filter.region: .*one of us-east-1, us-west-2, eu-west-1")
        answer = self.cluster.first.ask({"op": "fetch", "filter": {"region": "us-east-2"}, "waitMs": 0})
        self.assertEqual((answer["error"]["code"], answer["error"]["path"]), ("unknown_region", "filter.region"))

    def commands(self):
        """One of each command that prints what was asked for; all of them end by themselves."""
        ids, keys = self.publish("--wait", "all")["eventId"], self.cluster.dir / "keys"
        return [("--help",), ("--version",), ("audit", "--help"), ("pub", "custom", "{}"), ("sub", "--from", "earliest", "--count", "1"), ("explain", ids),
                ("report",), ("report", "--json"), ("audit", "--keys", keys, *self.all_doors()), ("region", "ls"), ("region", "ls", "--json"),
                ("region", "ls", "--watch"), ("doctor", "--config", self.cluster.first.config_path), ("bench", "-n", "10"),
                ("keys", "list", "--dir", keys), ("keys", "list", "--dir", keys, "--json"), ("migrate", "--sql")]

    def test_output_that_cannot_be_written_is_a_failure(self):
        gone, closed = os.pipe()
        os.close(gone)
        with open("/dev/full", "wb") as full, open(closed, "wb") as pipe:
            for out, why in ((full, "No space left on device"), (pipe, "Broken pipe")):
                for args in self.commands():
                    with self.subTest(" ".join(map(str, args)), why=why):
                        done = subprocess.run([BUILD / "src/cmd/fanout", *args], stdout=out, stderr=subprocess.PIPE, text=True, timeout=60,
                                              env=dict(os.environ, FANOUT_BROKER=self.cluster.first.door))
                        self.assertEqual(done.returncode, 1, done.stderr)
                        self.assertEqual(done.stderr.count("standard output could not be written"), 1, done.stderr)

    def test_explain_tells_and_proves_the_story(self):
        answer = self.publish("--key", "explain", "--wait", "all")
        configs = [word for broker in self.cluster for word in ("--config", broker.config_path)]
        # the acks reach the journal a moment after they reach the publisher
        wait_until(lambda: " pending " not in self.cli("explain", answer["eventId"]).stdout, "the acks are in the journal")
        text = self.cli("explain", answer["eventId"], *configs).stdout
        self.assertEqual(text.count("Merkle path proven"), 3)
        self.assertEqual(text.count("has it, same bytes"), 2)
        self.assertRegex(text, r"us-west-2 +delivered +1 .* verified")
        story = json.loads(self.cli("explain", answer["eventId"], *self.all_doors(), "--keys", self.cluster.dir / "keys", "--json").stdout)
        self.assertEqual([a["proof"]["state"] for a in story["acks"]], ["verified", "verified"])
        self.assertEqual({b["answer"]["position"] for b in story["brokers"]}, {answer["position"]})
        self.assertIn("key unknown", self.cli("explain", answer["eventId"]).stdout)
        self.assertIn("no broker asked knows", self.cli("explain", "no-such-event", status=4).stderr)

    def test_configurations_that_listen_everywhere_are_one_broker_from_here(self):
        answer = self.publish("--wait", "all")
        everywhere = self.cluster.first.door.replace("127.0.0.1", "0.0.0.0")
        path = {}
        for broker in self.cluster:
            path[broker.region] = self.cluster.dir / f"everywhere-{broker.region}.yaml"
            text = broker.config_path.read_text().replace(broker.door, everywhere)
            path[broker.region].write_text(text + "tls:\n  allow_plain: true\n")
        others = [word for broker in self.cluster.others() for word in ("-b", broker.door)]
        for command in ("audit",), ("explain", answer["eventId"]):
            with self.subTest(command):
                self.cli(*command, "--config", path["us-east-1"], *others)
                done = self.cli(*command, *(f"--config={p}" for p in path.values()), status=2)
                self.assertRegex(done.stderr, "is the broker of us-east-1 from here: leave out the --config of us-west-2, .*-b")
                self.assertEqual(done.stdout, "")

    def test_a_key_of_another_makes_the_proof_fail(self):
        answer = self.publish("--wait", "all")
        other = self.cluster.dir / "other-keys"
        run([BUILD / "src/cmd/fanout", "keys", "new", "--region", "us-east-1", "--dir", other])
        fake = (other / "us-east-1.pub").read_text().split()
        real = (self.cluster.dir / "keys/us-east-1.pub").read_text().split()
        (other / "us-east-1.pub").write_text(" ".join([*fake[:3], real[3], fake[4]]) + "\n")    # their id, our key
        done = self.cluster.cli("explain", answer["eventId"], "--keys", other, check=False)
        self.assertIn(done.returncode, (1, 2), done.stdout + done.stderr)

    def test_report_and_region_ls(self):
        self.publish("--wait", "all")
        complete = re.compile(r"us-east-1 +order_status +us-west-2 +(\d+) +\1 .*100\.00 %")
        wait_until(lambda: complete.search(self.cli("report", *self.all_doors()).stdout), "the report has all deliveries")
        self.cli("report", "--since", "soon", status=2)
        statuses = json.loads(self.cli("region", "ls", "--json", *self.all_doors()).stdout)
        self.assertEqual([s["region"] for s in statuses], ["us-east-1", "us-west-2", "eu-west-1"])
        self.assertIn("us-west-2", self.cli("region", "ls", "-b", self.cluster.first.door, "-b", free_url("tcp"), status=1).stdout)
        self.cli("region", "ls", "-b", free_url("tcp"), status=3)

    def test_doctor_finds_nothing_then_what_is_wrong(self):
        text = self.cli("doctor", "--config", self.cluster.first.config_path).stdout
        self.assertNotIn("FAIL", text)
        self.assertIn("link up", text)
        broken = self.cluster.dir / "broken.yaml"
        config = self.cluster.first.config_path.read_text()
        broken.write_text(config.replace(self.cluster.first.door, free_url("tcp")).replace("keys/us-east-1.key", "keys/nothing.key"))
        findings = json.loads(self.cli("doctor", "-c", broken, "--json", status=1).stdout)
        failed = {f["check"] for f in findings if f["state"] == "FAIL"}
        self.assertEqual(failed, {"keys", "broker"}, findings)      # no such key; it runs, and does not answer at that door
        self.assertTrue(all("advice" in f for f in findings if f["state"] == "FAIL"), findings)
        broken.write_text(config.replace(self.cluster.first.door, free_url("tcp")).replace("us-east-1/data", "us-east-1/no-data"))
        findings = json.loads(self.cli("doctor", "-c", broken, "--json", status=1).stdout)
        self.assertEqual({f["check"] for f in findings if f["state"] == "FAIL"}, {"ports"}, findings)   # those of another program
        broken.write_text(config.replace("door:", "dor:"))
        self.assertRegex(self.cli("doctor", "-c", broken, status=1).stdout, r"broken\.yaml:\d+:\d+")

    def test_bench_counts_everything_at_both_other_regions(self):
        others = [word for broker in self.cluster.others() for word in ("-s", broker.door)]
        out = json.loads(self.cli("bench", "-n", "3000", "-c", "2", "--json", *others, timeout=120).stdout)
        self.assertEqual((out["accepted"], out["refused"]), (3000, 0))
        self.assertEqual([(s["received"], s["lost"], s["duplicates"], s["outOfOrder"]) for s in out["subscribers"]], [(3000, 0, 0, 0)] * 2)

    def example(self, name, *args):
        env = dict(os.environ, LSAN_OPTIONS=f"suppressions={ROOT / 'tests/lsan.supp'}:print_suppressions=0")     # what NNG forgets at close
        done = subprocess.run([BUILD / f"tests/examples/example_{name}", *args], capture_output=True, text=True, timeout=60, env=env)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout.splitlines()

    def test_the_examples_work(self):
        first, *regions = self.example("publish", self.cluster.first.door)
        self.assertEqual(sorted(regions), ["eu-west-1 delivered", "us-west-2 delivered"])
        self.assertEqual(self.example("publish_async", "500", self.cluster.first.door), ["500 accepted, 0 refused"])
        *events, cursor = self.example("subscribe", "100", self.cluster["us-west-2"].door)
        self.assertEqual(len({e.split()[0] for e in events}), 100)
        self.assertTrue(cursor.startswith("cursor f2~us-west-2~"), cursor)


class Ledger(unittest.TestCase):
    def test_report_ends_where_it_is_told(self):
        with running(regions=("us-east-1", "us-west-2"), database=True, extra={"ledger": {"settle_wait_ms": 200}}) as cluster:
            for n in range(3):
                cluster.first.publish("custom", {"n": n}, wait="all")
            middle = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
            cluster.first.publish("custom", {"n": 3}, wait="all")
            wait_until(lambda: cluster.postgres.psql("SELECT count(*) FROM realtime_fanout_log WHERE is_settled") == "4", "all rows are settled")
            for asked in (("-b", cluster.first.door), ("--ledger", cluster.postgres.conninfo)):
                for span, count in ((("--until", middle), 3), (("--since", middle), 1), ((), 4)):
                    with self.subTest(asked[0], span=span):
                        said = json.loads(cluster.cli("report", *asked, *span, "--json").stdout)
                        self.assertEqual([(e["type"], e["total"], e["successful"]) for e in said["events"]], [("custom", count, count)])
            for wrong in (("--until", "soon"), ("--until", "2h", "--since", "1h")):
                self.assertEqual(cluster.cli("report", *wrong, check=False).returncode, 2)

    def test_migrate_shows_what_it_would_do_and_does_not(self):
        with running(regions=("us-east-1",), database=True) as cluster:
            psql = cluster.postgres.psql
            psql("CREATE DATABASE other")
            other = f"{cluster.postgres.conninfo} dbname=other"

            def migrate(*args, status):
                done = cluster.cli("migrate", "-c", other, *args, check=False)
                self.assertEqual(done.returncode, status, done.stdout + done.stderr)
                return done.stdout
            for _ in range(2):
                said = migrate("--dry-run", "--region", "us-east-1", status=0)
                self.assertRegex(said, r"(?m)^0001 .* would be applied$")
                missing = int(re.search(r"(?m)^0 applied, (\d+) missing$", said)[1])
                self.assertGreater(missing, 0)
            self.assertIn(f"0 applied, {missing} missing", migrate("--status", status=1))
            self.assertIn(f"{missing} applied now", migrate(status=0))
            self.assertNotIn("would be applied", migrate("--dry-run", status=0))
            self.assertIn(f"{missing} applied, 0 missing", migrate("--status", status=0))


class Watch(unittest.TestCase):
    def test_region_ls_shows_what_changes(self):
        with running(regions=("us-east-1", "us-west-2")) as cluster:
            watching = subprocess.Popen([BUILD / "src/cmd/fanout", "region", "ls", "--watch", "-b", cluster.first.door], stdout=subprocess.PIPE, text=True)
            try:
                for state in ("up", "down"):
                    while not re.match(rf"  us-west-2 +{state} ", line := watching.stdout.readline()):
                        self.assertNotEqual(line, "", "it ended")
                    cluster["us-west-2"].stop()
                self.assertIsNone(watching.poll())
            finally:
                watching.kill()
                watching.wait()
                watching.stdout.close()
            self.assertEqual(cluster.cli("region", "ls", "--watch", "--json", check=False).returncode, 2)


class Failover(unittest.TestCase):
    def test_the_next_broker_takes_over(self):
        with running() as cluster:
            near, far = cluster["us-west-2"], cluster["eu-west-1"]
            for n in range(3):
                cluster.first.publish("custom", {"n": n}, tenant="failover", wait="all")
            sub = subprocess.Popen([BUILD / "src/cmd/fanout", "sub", "-b", near.door, "-b", far.door, "--tenant", "failover", "--from", "earliest",
                                    "--count", "6", "--json"], stdout=subprocess.PIPE, text=True)
            seen = [json.loads(sub.stdout.readline())["data"]["n"] for _ in range(3)]
            near.kill()
            for n in range(3, 6):
                cluster.first.publish("custom", {"n": n}, tenant="failover", wait=1)
            seen += [json.loads(line)["data"]["n"] for line in sub.stdout]
            self.assertEqual(sub.wait(60), 0)
            sub.stdout.close()
            self.assertEqual(seen, [0, 1, 2, 3, 4, 5])
            answer = json.loads(cluster.cli("pub", "custom", "{}", "--json", "--wait", "1", "-b", near.door, "-b", far.door).stdout)
            self.assertTrue(answer["position"].startswith("eu-west-1:"), answer)
            near.start()
            wait_until(lambda: "n" in str(near.fetch_all({"tenant": "failover"})), "the lost broker is back")


class Tls(unittest.TestCase):
    def test_clients_with_certificates(self):
        with running(tls=True, regions=("us-east-1", "us-west-2")) as cluster:
            certs = cluster.dir / "certs"
            tls = ("--tls-ca", certs / "ca.crt", "--tls-cert", certs / "client.crt", "--tls-key", certs / "client.key")
            answer = json.loads(cluster.cli("pub", "order_status", READY, "--json", "--wait", "all", *tls).stdout)
            self.assertTrue(answer["success"], answer)
            self.assertIn(answer["eventId"], cluster.cli("sub", "--from", "earliest", "--count", "1", "--json", *tls).stdout)
            self.assertNotIn("FAIL", cluster.cli("doctor", "-c", cluster.first.config_path).stdout)
            self.assertEqual(cluster.cli("pub", "order_status", READY, *tls[:2], check=False).returncode, 3)     # no certificate of its own
            self.assertEqual(cluster.cli("pub", "order_status", READY, check=False).returncode, 2)              # no authority to trust


if __name__ == "__main__":
    unittest.main()
