"""The cache on disk: processes that are ended while they fill it, and a disk that is full."""
import os
import re
import sys

from harness.registry import check, test

TOOL = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))), "tools", "cache-kill")


def run(context, *arguments):
    process = context.spawn("cache-kill", [sys.executable, TOOL, "--weir", context.weir_path, *arguments])
    code = process.wait(55)
    check(code == 0, f"cache-kill {' '.join(arguments)}: code {code}, {process.out()[-300:]} {process.err()[-500:]}")
    return process.out()


@test(seconds_max=60)
def cache_survives_kills(context):
    """50 times a process that fills a cache is ended at a random moment; every byte that is left is what was written, every commit is there."""
    words = run(context, "--runs", "50", "--longest", "0.3")
    found = re.search(r"50 runs .*: (\d+) objects \((\d+) whole\), (\d+) MiB compared, all as written; (\d+) commits", words)
    check(found, words)
    objects, whole, _, commits = map(int, found.groups())
    # How much is filled in the time is the machine's affair.
    check(objects > 0 and whole > 0 and commits > 0, f"too little was filled to show anything: {words}")


@test(seconds_max=60)
def cache_on_a_full_disk(context):
    """A cache on a disk that is full all the time loses what it cannot write, and serves nothing else than what was written."""
    words = run(context, "--runs", "8", "--longest", "0.8", "--full")
    found = re.search(r"the disk refused (\d+) times", words)
    check(found and int(found.group(1)) > 0, f"the disk was never full: {words}")
