#!/usr/bin/env python3
"""End-to-end tests: a real pagoda process, real sockets, the official openai client.

    tests/e2e/run.py --binary build/test/pagoda [--model DIR] [unittest arguments]
"""

import argparse
import os
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))


def main():
    root = os.path.dirname(os.path.dirname(HERE))
    parser = argparse.ArgumentParser()
    parser.add_argument("--binary", default=os.path.join(root, "build/release/pagoda"))
    parser.add_argument("--model", default=os.path.join(root, "configs/models/pagoda-tiny"))
    args, rest = parser.parse_known_args()
    os.environ["PAGODA_TEST_BINARY"] = os.path.abspath(args.binary)
    os.environ["PAGODA_TEST_MODEL"] = os.path.abspath(args.model)
    sys.path.insert(0, HERE)
    names = rest or ["discover", "-s", HERE, "-p", "test_*.py"]
    unittest.main(module=None, argv=["e2e"] + names, verbosity=2)


if __name__ == "__main__":
    main()
