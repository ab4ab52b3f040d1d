# SPDX-License-Identifier: Apache-2.0
"""A new key without a gap, as deploy/README.md tells it, under load: nothing that either key has signed is lost or refused."""
import json
import shutil
import unittest

from lib.cluster import FANOUT, running, run, wait_until
from lib.load import Load, account

SLOW = True


class Rotation(unittest.TestCase):
    def key_of(self, cluster, event_id, status=0):
        """The id of the key that signed an event's batch, and what the proof with the present public keys says."""
        done = cluster.cli("explain", event_id, "--json", "--keys", cluster.dir / "keys", check=False)
        self.assertEqual(done.returncode, status, done.stderr)
        broker = json.loads(done.stdout)["brokers"][0]
        return broker["answer"]["batch"]["keyId"], broker["proof"]["state"]

    def rotate(self, cluster):
        """Steps 1 to 3, with a peer away meanwhile, which so gets batches of the old key when the new one is in use."""
        region, keys = cluster.first.region, cluster.dir / "keys"
        run([FANOUT, "keys", "new", "--region", region, "--dir", keys / "next"])
        shutil.copy(keys / f"next/{region}.pub", keys / f"{region}.2.pub")
        for broker in cluster:
            broker.restart()
        cluster.wait_links()
        cluster["eu-west-1"].stop()
        cluster.first.publish(id="while-away", wait=1)
        cluster.first.config["keys"]["secret_key"] = keys / f"next/{region}.key"
        cluster.first.restart()
        cluster["eu-west-1"].start()
        cluster.wait_links()

    def test_events_of_both_keys_arrive(self):
        with running() as cluster:
            keys, old = cluster.dir / "keys", cluster.dir / "keys" / f"{cluster.first.region}.pub"
            with Load(cluster.first, "rotation") as load:
                load.wait_for(50)
                cluster.first.publish(id="before", wait="all")
                self.rotate(cluster)
                load.wait_for(50)
            cluster.first.publish(id="after", wait="all")
            account(self, cluster, load)
            for broker in cluster:
                self.assertLessEqual({"before", "while-away", "after"}, {e["id"] for _, e in broker.fetch_all()}, broker.region)
            listed = {k["keyId"] for k in json.loads(run([FANOUT, "keys", "list", "--dir", keys, "--json"]).stdout) if k["region"] == cluster.first.region}
            signed = [self.key_of(cluster, i) for i in ("before", "while-away", "after")]
            self.assertEqual([state for _, state in signed], ["verified"] * 3)
            self.assertEqual((signed[0][0], {key for key, _ in signed}), (signed[1][0], listed))
            self.assertNotEqual(signed[1][0], signed[2][0])

            old.unlink()                        # step 4, when all that the old key signed has arrived
            for broker in cluster:
                broker.restart()
            cluster.wait_links()
            cluster.first.publish(id="much-later", wait="all")
            wait_until(lambda: all("much-later" in {e["id"] for _, e in b.fetch_all()} for b in cluster), "it is everywhere")
            self.assertEqual(self.key_of(cluster, "much-later"), (signed[2][0], "verified"))
            self.assertEqual(self.key_of(cluster, "before"), (signed[0][0], "key_unknown"))

    def test_a_key_that_others_do_not_have_yet_is_refused_until_they_do(self):
        with running(regions=("us-east-1", "us-west-2")) as cluster:
            keys, mine = cluster.dir / "keys", cluster.dir / "mine"
            shutil.copytree(keys, mine)
            run([FANOUT, "keys", "new", "--region", "us-east-1", "--dir", mine, "--force"])
            cluster.first.config["keys"] = {"secret_key": mine / "us-east-1.key", "public_keys": mine}
            cluster.first.restart()
            answer = cluster.first.publish(id="too-early", wait=1, timeoutMs=1500)
            self.assertIs(answer["success"], False)
            self.assertNotIn("too-early", {e["id"] for _, e in cluster["us-west-2"].fetch_all()})
            shutil.copy(mine / "us-east-1.pub", keys / "us-east-1.2.pub")
            cluster["us-west-2"].restart()
            wait_until(lambda: "too-early" in {e["id"] for _, e in cluster["us-west-2"].fetch_all()}, "it arrives when its key is known")


if __name__ == "__main__":
    unittest.main()
