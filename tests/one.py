# SPDX-License-Identifier: Apache-2.0
"""Runs one file of Python tests and writes [passed, failed, skipped] to a file: one.py TEST_FILE COUNTS_FILE."""
import importlib.util
import json
import sys
import unittest
from pathlib import Path


def main():
    path, counts = Path(sys.argv[1]), Path(sys.argv[2])
    sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    result = unittest.TextTestRunner(stream=sys.stdout, verbosity=2).run(unittest.defaultTestLoader.loadTestsFromModule(module))
    failed = len(result.failures) + len(result.errors) + len(result.unexpectedSuccesses)
    passed = max(0, result.testsRun - failed - len(result.skipped))
    counts.write_text(json.dumps([passed, failed, len(result.skipped)]))
    sys.exit(1 if failed else 0)


main()
