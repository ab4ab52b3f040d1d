# SPDX-License-Identifier: Apache-2.0
"""A few seconds of libFuzzer for each parser. Longer: tests/fuzz/run --seconds 600. Skipped, visibly, where there is no clang."""
import os
import re
import shutil
import subprocess
import unittest

from lib.cluster import BUILD, ROOT

SLOW = True
SECONDS = os.environ.get("FANOUT_FUZZ_SECONDS", "3")


def has_fuzzer():
    """clang, with libFuzzer's library."""
    if not shutil.which("clang"):
        return False
    done = subprocess.run(["clang", "-print-file-name=libclang_rt.fuzzer-x86_64.a"], capture_output=True, text=True)
    found = done.stdout.strip()
    return os.path.exists(found) or os.path.exists(found.replace("-x86_64", ""))


@unittest.skipUnless(has_fuzzer(), "needs clang and libclang-rt-14-dev: deploy/install-packages --fuzz")
class Fuzz(unittest.TestCase):
    def test_each_target(self):
        done = subprocess.run(["nice", str(ROOT / "tests/fuzz/run"), "--seconds", SECONDS, "--jobs", "1", "--build", str(BUILD / "fuzz")], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, (done.stdout + done.stderr)[-8000:])
        executions = {name: int(n.replace(",", "")) for name, n in re.findall(r"^ +(\w+) +([\d,]+) executions", done.stdout, re.M)}
        self.assertGreaterEqual(len(executions), 13, done.stdout)
        self.assertFalse([name for name, n in executions.items() if n < 50], done.stdout)
        print(done.stdout)


if __name__ == "__main__":
    unittest.main()
