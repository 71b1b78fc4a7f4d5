"""The library by itself: header, symbols, promises, random calls."""
import os
import re
import shutil
import sys

from harness import ROOT, SANITIZER, expect, run

HERE = os.path.dirname(os.path.abspath(__file__))
# Swift's toolchain brings clang; it may lie beside `swift` alone.
BESIDE_SWIFT = os.path.dirname(os.path.realpath(shutil.which("swift") or "/usr/bin/swift"))
CLANG, CLANGXX = (shutil.which(name) or os.path.join(BESIDE_SWIFT, name) for name in ("clang", "clang++"))
ASAN = ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"]
TESTS = {}


def test(function):
    TESTS[function.__name__] = function
    return function


def include(library, command, name):
    source = os.path.join(library.work, name)
    with open(source, "w", encoding="utf-8") as file:
        file.write("#include <fastpath.h>\n#include <fastpath.h>\n"
                   "int main(void) { fp_event event = fp_event_default(); return event.size != sizeof event || fp_version() == 0; }\n")
    program = f"{source}.program"   # the two tests run side by side: neither may write over what the other runs
    run([*command, "-pedantic", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wstrict-aliasing", "-Werror", source, "-o", program,
         *library.flags("shared")])
    run([program], environment=library.environment)


@test
def header_is_c99(library):
    for compiler in ("gcc", CLANG):
        for standard in ("c99", "c11", "gnu17"):
            include(library, [compiler, f"-std={standard}", "-Wstrict-prototypes"], "include.c")


@test
def header_is_cxx11(library):
    for standard in ("c++11", "c++20"):
        include(library, ["g++", f"-std={standard}", "-Wextra-semi"], "include.cpp")
    include(library, [CLANGXX, "-std=c++11"], "include.cpp")


@test
def header_is_the_one_of_the_sources(library):
    with open(library.header, "rb") as ours, open(os.path.join(ROOT, "Sources/CFastPath/include/fastpath.h"), "rb") as theirs:
        expect(ours.read() == theirs.read(), "the library was built from another header; run tools/build-embed")


def declared(library):
    names = run([sys.executable, os.path.join(ROOT, "tools/lib/header-functions"), library.header]).split()
    expect(len(names) > 40, f"only {len(names)} functions were found in the header")
    return set(names)


@test
def symbols_are_those_of_the_header(library):
    """Both ways, with the version node; and no data."""
    lines = run(["nm", "--dynamic", "--defined-only", "--with-symbol-versions", library.shared]).splitlines()
    found = {tuple(line.split()[1:]) for line in lines if line.split()[1] != "A"}
    wanted = {("T", f"{name}@@FASTPATH_0") for name in declared(library)}
    expect(found == wanted, f"exported and not declared: {sorted(found - wanted)}; declared and not exported: {sorted(wanted - found)}")
    found = {line.split()[-1] for line in run(["nm", "--extern-only", "--defined-only", library.archive]).splitlines() if " " in line}
    expect(found == declared(library), f"the archive differs in {sorted(found ^ declared(library))}")
    return f"{len(wanted)} functions"


@test
def needs_are_few(library):
    dynamic = run(["readelf", "--dynamic", "--wide", library.shared])
    expect("[libfastpath.so.0]" in dynamic, "the soname is not libfastpath.so.0")
    expect("TEXTREL" not in dynamic and "RPATH" not in dynamic and "RUNPATH" not in dynamic, "relocations in code, or a search path")
    needed = set(re.findall(r"NEEDED.*\[(.*)\]", dynamic))
    allowed = {"libstdc++.so.6", "libm.so.6", "libgcc_s.so.1", "libc.so.6", "libpthread.so.0", "libdl.so.2"}
    expect({name for name in needed if not name.startswith("ld-linux")} <= allowed, f"it needs {sorted(needed)}")
    for what in (library.shared, library.archive):
        # Modules in mangled names; CoreFoundation's and ICU's functions.
        names = run(["nm", what] if what == library.archive else ["nm", "--dynamic", what])
        found = re.findall(r"\S*(?:10Foundation|20FoundationEssentials|CFStringCreate|u_strToUpper)\S*", names)
        expect(not found, f"Foundation is in {what}: {found[:3]}")
    stack = run(["readelf", "--program-headers", "--wide", library.shared])
    expect(re.search(r"GNU_STACK.*RW ", stack), "the stack becomes executable")
    return ", ".join(sorted(needed))


@test
def promises_are_kept(library):
    """contract.c, under AddressSanitizer with leak check, against both libraries, on both backends; and by clang."""
    said = ""
    for kind in ("shared", "archive"):
        program = library.compile(os.path.join(HERE, "contract.c"), "contract", kind, *ASAN)
        for backend in ("auto", "epoll"):
            said = run([program, backend], environment={**library.environment, **SANITIZER})
    return said.strip()


@test
def every_kind_in_a_chain(library):
    """chain.c, under AddressSanitizer with leak check: each kind of source and reader, on each backend."""
    program = library.compile(os.path.join(HERE, "chain.c"), "chain", "shared", *ASAN)
    return ", ".join(run([program, backend], 60, {**library.environment, **SANITIZER}).strip() for backend in ("auto", "epoll", "plain"))


@test
def random_calls_harm_nothing(library):
    """random.c, under AddressSanitizer with leak check: each seed on one backend after the other."""
    program = library.compile(os.path.join(HERE, "random.c"), "random", "shared", *ASAN)
    steps = things = packets = 0
    for seed in range(1, 13):
        for backend in ("io_uring", "epoll", "plain"):
            said = run([program, str(seed), "15000", backend], 60, {**library.environment, **SANITIZER})
            numbers = re.search(r": (\d+) steps, (\d+) things, .* (\d+) out", said)
            expect(numbers, said)
            steps, things, packets = (total + int(number) for total, number in zip((steps, things, packets), numbers.groups()))
    expect(things > 10000 and packets > 50000, f"it did next to nothing: {things} things, {packets} packets sent")
    return f"{steps} calls, {things} things made and ended, {packets} packets sent"


@test
def archive_meets_other_runtimes(library):
    """Linked into a program that has functions of the same names as liburing's and the Swift runtime's."""
    source = os.path.join(library.work, "clash.c")
    with open(source, "w", encoding="utf-8") as file:
        file.write("""#include <fastpath.h>
#include <poll.h>
#include <stdlib.h>
int io_uring_queue_init(void) { abort(); }
int io_uring_submit(void) { abort(); }
void *swift_retain(void *object) { (void)object; abort(); }
void *swift_allocObject(void) { abort(); }
void curing_eventfd(void) { abort(); }
const char __start_swift5_protocols[1] = {1}, __stop_swift5_protocols[1] = {1};
int main(void) {
    fp_engine *engine;
    fp_event event = fp_event_default();
    char why[300];
    if (fp_engine_create(NULL, &engine, why, sizeof why) != FP_OK) return 2;
    fp_engine_shutdown(engine);
    for (int waited = 0; waited < 500; waited++) {
        int result = fp_next_event(engine, &event);
        if (result < 0) return 3;
        if (result == 1 && event.type == FP_EVENT_STOPPED) {
            fp_engine_free(engine);
            return (int)event.leaks;
        }
        struct pollfd waiting = {fp_event_fd(engine), POLLIN, 0};
        poll(&waiting, 1, 10);
    }
    return 4;
}
""")
    for more in (["-Wl,--gc-sections"], ["-no-pie"], ["-fuse-ld=lld"] if os.path.exists("/usr/bin/ld.lld") else ["-O2"]):
        program = library.compile(source, "clash", "archive", *more)
        run([program], 30)
