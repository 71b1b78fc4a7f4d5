#!/usr/bin/env python3
"""Tests the engine as a library for C and C++ (tools/build-embed makes it).

    Tests/Embed/run.py [--library build-embed] [--races] [--list] [NAME…]

With NAMEs, only the tests whose name contains one of them; with --races, ThreadSanitizer instead of everything else (it builds the
library anew, in .build-tsan, which takes a minute). Needs gcc, g++, clang, valgrind, pkg-config, GStreamer and ffmpeg; traffic
stays on the loopback. The last line is `N passed, N failed`. Exit codes: 0 all passed, 1 something failed, 2 usage.

Example:
    tools/build-embed && Tests/Embed/run.py
"""
import argparse
import concurrent.futures
import itertools
import os
import sys
import tempfile
import time
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import library_cases  # noqa: E402
import peer_cases  # noqa: E402
import race_cases  # noqa: E402
from harness import ROOT, Failed, Library  # noqa: E402

SIDE_BY_SIDE = 3
ALONE = ("gstreamer_to_a_thousand",)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--library", dest="folder", metavar="FOLDER", default=os.path.join(ROOT, "build-embed"), help="the folder that tools/build-embed made")
    parser.add_argument("--package", default=ROOT, help=argparse.SUPPRESS)
    parser.add_argument("--races", action="store_true", help="look for races between threads")
    parser.add_argument("--list", action="store_true", help="print the tests' names")
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()

    tests = race_cases.TESTS if options.races else {**library_cases.TESTS, **peer_cases.TESTS}
    chosen = {name: test for name, test in tests.items() if not options.names or any(part in name for part in options.names)}
    if options.list:
        print("\n".join(chosen))
        return 0
    if not chosen:
        print(f"run.py: no test's name contains {' or '.join(options.names)} (see --list)", file=sys.stderr)
        return 2
    if not os.path.exists(os.path.join(options.folder, "lib/libfastpath.so")):
        print(f"run.py: there is no library in {options.folder}; run tools/build-embed", file=sys.stderr)
        return 2

    passed = failed = 0
    with tempfile.TemporaryDirectory() as work:
        library = Library(options.folder, work)
        library.package = options.package

        def tried(name):
            """Whether it passed, and what is said of it."""
            start = time.monotonic()
            try:
                said = chosen[name](library.of_its_own(name))
                return True, f"✔ {name} ({time.monotonic() - start:.1f} s){': ' + said if said else ''}"
            except Failed as failure:
                problem = f"{failure}"
            except Exception:  # noqa: BLE001: whatever it was, it is this test's, and the others go on
                problem = traceback.format_exc()
            return False, f"✘ {name} ({time.monotonic() - start:.1f} s): {problem}"

        # Most of them wait for packets in their time. The last ones want the machine for themselves.
        alone = [name for name in chosen if name in ALONE]
        with concurrent.futures.ThreadPoolExecutor(1 if options.races else SIDE_BY_SIDE) as pool:
            others = [pool.submit(tried, name) for name in chosen if name not in ALONE]
            for good, line in itertools.chain((one.result() for one in others), map(tried, alone)):
                passed, failed = passed + good, failed + (not good)
                print(line, flush=True)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
