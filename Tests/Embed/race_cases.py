"""The library's own code under ThreadSanitizer, linked to the tests' C programs (run.py --races)."""
import os

from harness import ROOT, expect, run
from library_cases import CLANG, HERE

TESTS = {}
ENVIRONMENT = {"SWIFT_BACKTRACE": "enable=no", "TSAN_OPTIONS": "halt_on_error=1"}


def program(library, name):
    """A test's program with an archive that ThreadSanitizer watches; the one under test is not built so."""
    archive = os.path.join(library.races, "debug/libFastPathC.a")
    if name == "contract":
        said = run(["swift", "build", "--package-path", library.package, "--sanitize=thread", "--scratch-path", library.races, "--product",
                    "FastPathC"], 900)
        expect(os.path.exists(archive), said)
    path = os.path.join(library.work, f"{name}-races")
    run([CLANG, "-fsanitize=thread", "-std=gnu99", "-g", "-O1", f"-I{library.folder}/include", "-c", os.path.join(HERE, f"{name}.c"), "-o",
         f"{path}.o"])
    run(["swiftc", "-sanitize=thread", "-use-ld=lld", "-static-stdlib", f"{path}.o", archive, "-luring", "-o", path])
    return path


def threads_do_not_race(library):
    """Promises, the chain and random calls, in a debug build, on each backend."""
    library.races = os.path.join(library.package, ".build-tsan")
    said = [run([program(library, "contract")], 120, ENVIRONMENT).strip()]
    chain, random = (program(library, name) for name in ("chain", "random"))
    for backend in ("io_uring", "epoll", "plain"):
        said.append(run([chain, backend], 120, ENVIRONMENT).strip())
        for seed in range(100, 105):
            run([random, str(seed), "8000", backend], 120, ENVIRONMENT)
    return "; ".join(said)


TESTS["threads_do_not_race"] = threads_do_not_race
