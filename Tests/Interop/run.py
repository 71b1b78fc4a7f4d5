#!/usr/bin/python3
"""Plays Weir against real players, encoders and servers, and against peers that misbehave.

  run.py [NAME…] [--weir PATH] [--jobs N] [--jobs-max N] [--list] [--keep]

NAMEs choose the tests whose name contains one of them. Every test runs in a
process and a folder of its own and has a time limit. Uses the loopback interface only.
Needs the Debian packages that tools/test installs, and nothing from PyPI.

Example:
  Tests/Interop/run.py demo_plays --weir .build/release/weir --keep

What failed is tried once more, alone, when all the others are done; its first failure stays in the output, and a line at the end names
it. Whether Weir plays to real players is asked on machines that stand still now and then: a failure that comes again is Weir's or the
test's. There is no second try where Weir died, nor where more than three tests failed: that is no coincidence.

The last line is `N passed, N failed`. Exit codes: 0 all passed, 1 something failed, 2 usage.
"""
import argparse
import importlib
import os
import pkgutil
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, HERE)
sys.dont_write_bytecode = True

import cases  # noqa: E402
from harness.context import Context  # noqa: E402
from harness.crew import Crew  # noqa: E402
from harness.registry import Failure, tests  # noqa: E402

CHILD_GRACE_SECONDS = 40
SECOND_TRIES_MAX = 3
# What the process of a test ends with; with anything else it came to no end of its own.
PASSED, WEIR_DIED, FAILED = 0, 3, 4


def load_tests():
    for module in sorted(pkgutil.iter_modules(cases.__path__), key=lambda module: module.name):
        importlib.import_module("cases." + module.name)


def run_child(name, weir, folder):
    """In the child: one test. Prints what went wrong; the exit code tells whether it passed."""
    one = tests[name]
    context = Context(weir, folder)

    def overtime(*_):
        raise Failure(f"took longer than {one.seconds_max:.0f} s")
    signal.signal(signal.SIGALRM, overtime)
    signal.setitimer(signal.ITIMER_REAL, one.seconds_max)
    problem = None
    try:
        one.function(context)
    except Failure as failure:
        place = traceback.extract_tb(failure.__traceback__)
        lines = [f"{os.path.relpath(frame.filename, HERE)}:{frame.lineno}" for frame in place if "/cases/" in frame.filename]
        problem = f"{failure} ({', '.join(lines)})"
    except Exception as error:  # noqa: BLE001: whatever it was, it belongs in the report
        problem = f"{type(error).__name__}: {error}\n{traceback.format_exc()}"
    signal.setitimer(signal.ITIMER_REAL, 0)
    trouble = context.close()
    problems = [*trouble, *([problem] if problem else [])]
    try:
        if problems:
            print("; ".join(problems))
            print(context.logs())
            sys.stdout.flush()
    finally:
        os._exit(WEIR_DIED if trouble else FAILED if problem else PASSED)


def run_test(one, weir, base):
    """In the parent: (how it ended, seconds, report)."""
    start = time.monotonic()
    try:
        return run_apart(one, weir, base)
    except Exception:  # noqa: BLE001: whatever it was, it is this test's, and the others go on
        return None, time.monotonic() - start, traceback.format_exc()


def run_apart(one, weir, base):
    """One test in a process of its own."""
    folder = os.path.join(base, "".join(letter if letter.isalnum() else "_" for letter in one.name))
    if os.path.exists(folder):
        os.rename(folder, folder + "-first")  # not the other way round: no longer name for the control socket
    os.makedirs(folder)
    start = time.monotonic()
    child = subprocess.Popen([sys.executable, os.path.abspath(__file__), "--child", one.name, "--weir", weir, "--folder", folder],
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                             errors="replace", start_new_session=True)
    try:
        output, _ = child.communicate(timeout=one.seconds_max + CHILD_GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)  # the session made above: the test and its own processes
        output, _ = child.communicate()
        output += "the test did not end after its time limit and was killed"
    return child.returncode, time.monotonic() - start, output.strip()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--weir", default=os.path.join(ROOT, ".build/release/weir"), metavar="PATH")
    parser.add_argument("--jobs", type=int, default=3,
                        help="tests at a time that are started however busy the processors are (default 3); those that measure run alone")
    parser.add_argument("--jobs-max", type=int, default=6, help="tests at a time while the processors are idle enough (default 6)")
    parser.add_argument("--list", action="store_true", help="names and what each proves")
    parser.add_argument("--keep", action="store_true", help="keep the folders with logs")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    load_tests()

    if arguments.child:
        run_child(arguments.child, arguments.weir, arguments.folder)
    chosen = [one for one in tests.values()
              if not arguments.names or any(word in one.name for word in arguments.names)]
    if arguments.list:
        for one in chosen:
            print(f"{one.name:58} {one.proves}")
        return 0
    if not chosen:
        print(f"no test is called {' or '.join(arguments.names)} (--list shows them)", file=sys.stderr)
        return 2
    weir = os.path.abspath(arguments.weir)
    if not os.access(weir, os.X_OK):
        print(f"there is no program at {weir}; `swift build -c release` makes it", file=sys.stderr)
        return 2

    base = tempfile.mkdtemp(prefix="weir-interop-")
    os.makedirs(os.path.join(base, "cache"))
    ended, reasons = {}, {}

    def done(one, result):
        ended[one], seconds, report = result
        print(f"{'pass' if ended[one] == PASSED else 'FAIL'} {seconds:6.1f} s  {one.name}", flush=True)
        lines = report.splitlines()
        if ended[one] != PASSED:
            reasons[one] = lines[0] if lines else f"its process ended with code {ended[one]}"
        for line in lines if ended[one] != PASSED else [line for line in lines if line.startswith("note:")]:
            print("    " + line, flush=True)

    start = time.monotonic()
    together = sorted((one for one in chosen if not one.alone), key=lambda one: -one.seconds_max)
    crew = Crew(arguments.jobs, max(arguments.jobs, arguments.jobs_max))
    for one, result in crew.run(together, lambda one: run_test(one, weir, base)):
        done(one, result)
    for one in chosen:
        if one.alone:
            done(one, run_test(one, weir, base))

    failures = [one for one in chosen if ended[one] != PASSED]
    again = [one for one in failures if ended[one] == FAILED] if len(failures) <= SECOND_TRIES_MAX else []
    if again:
        print("once more, alone:", flush=True)
    elif failures:
        print("no second try: " + (f"{len(failures)} failed" if len(failures) > SECOND_TRIES_MAX else "Weir died, or the test came to no end"))
    for one in again:
        done(one, run_test(one, weir, base))

    if arguments.keep:
        print(f"logs: {base}")
    else:
        shutil.rmtree(base, ignore_errors=True)
    failed = [one for one in failures if ended[one] != PASSED]
    for one in failures:
        print(f"{'failed' if one in failed else 'passed at the second try only'}: {one.name}: {reasons[one]}")
    print(f"took {time.monotonic() - start:.0f} s")
    print(f"{len(chosen) - len(failed)} passed, {len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
