"""What compiler and formatter do not notice. Run by tools/check; prints `file:line: what` and exits 1 if anything is found."""
import os
import re
import subprocess
import sys

LINES_MAX = 500
# The only arrows allowed (docs/architecture.md). The compiler's import check does not see C modules.
ARROWS = {
    "WireFormats": set(),
    "PlaneLink": set(),
    "FastPath": {"CUring", "PlaneLink", "WireFormats"},
    "FastPathC": {"FastPath"},
    "Signalling": {"WireFormats"},
    "ControlPlane": {"Signalling", "PlaneLink", "WireFormats"},
    "Workbench": {"Signalling", "WireFormats", "FastPath", "PlaneLink"},
    "WeirRelay": {"ControlPlane", "FastPath", "PlaneLink"},
    "weir": {"ControlPlane", "FastPath", "PlaneLink", "WeirRelay", "Workbench"},
}
# Pure modules, and the engine, do without Foundation.
WITHOUT_FOUNDATION = {"WireFormats", "PlaneLink", "Signalling", "FastPath", "FastPathC"}
# C targets and who may import them.
C_TARGETS = {
    "CUring": {"FastPath", "FastPathTests"},
    "CNettle": {"Signalling"},
    "CBareLoops": {"Workbench", "WorkbenchTests"},
    "CSinks": {"Workbench", "WorkbenchTests"},
    "CFastPath": {"FastPathC"},
    "CForbidding": {"FastPathTests"},
    "CAllocationCount": {"FastPathTests", "WireFormatsTests"},
    "CDemoClip": {"ControlPlane", "ControlPlaneTests"},
}
IMPORT = re.compile(r"^\s*(?:@\w+\s+)*(?:(?:public|package|internal|private|fileprivate)\s+)?import\s+"
                    r"(?:struct\s+|class\s+|enum\s+|func\s+|protocol\s+|var\s+|typealias\s+)?(\w+)")
# Built from pieces, so that this file does not find itself.
MACHINE_PATH = re.compile("(?<![\\w.])/(?:" + "work" + "/(?:main|shared)|" + "tmp/" + "weir(?!-)|" + "home/" + r"\w+|Users/\w+)")
COPYRIGHT = re.compile("copyright " + r"\(c\)|\u00a9|SPDX-" + "License", re.IGNORECASE)

found = []


def report(path, line, what):
    found.append(f"{path}:{line}: {what}")


def files():
    listing = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard"],
                             capture_output=True, text=True)
    if listing.returncode == 0:
        return [path for path in listing.stdout.splitlines() if os.path.isfile(path)]
    # Not a git work tree (a source archive): take everything that is not hidden.
    return [os.path.relpath(os.path.join(folder, name)) for folder, folders, names in os.walk(".")
            if not folders.__setitem__(slice(None), [f for f in folders if not f.startswith(".")]) for name in names]


def without_comments_and_strings(text):
    """Swift source with comments and string contents blanked, line breaks kept."""
    pattern = re.compile(r'//[^\n]*|/\*.*?\*/|"""(?:\\.|.)*?"""|#"[^\n]*?"#|"(?:\\\(|\\.|[^"\\\n])*"', re.DOTALL)
    return pattern.sub(lambda match: re.sub(r"[^\n]", " ", match.group()), text)


def check_swift(path, text):
    parts = path.split("/")
    module = parts[1] if parts[0] in ("Sources", "Tests") and len(parts) > 2 else None
    code = without_comments_and_strings(text)
    for number, line in enumerate(code.splitlines(), 1):
        name = IMPORT.match(line)
        name = name and name.group(1)
        if name and module:
            allowed = ARROWS.get(module)
            if allowed is not None and name in ARROWS and name not in allowed:
                report(path, number, f"{module} may not import {name} (docs/architecture.md has the arrows)")
            if name in C_TARGETS and module not in C_TARGETS[name]:
                report(path, number, f"{name} may be imported by {', '.join(sorted(C_TARGETS[name]))} only")
            if name == "Foundation" and module in WITHOUT_FOUNDATION:
                report(path, number, f"{module} does without Foundation")
        if parts[0] == "Sources":
            if re.search(r"\btry!", line):
                report(path, number, "try! traps on an error: throw it on or handle it")
            if re.search(r"\bas!", line):
                report(path, number, "as! traps: use as? and handle nil")
            # A postfix `!`: after a name, `)`, `]` or `>`, not part of `!=`.
            if re.search(r"(?<=[\w)\]])!(?![=\w])", line.replace("try!", "try").replace("as!", "as")):
                report(path, number, "force-unwrap traps on nil: use guard let")
            if "-Ounchecked" in line:
                report(path, number, "-Ounchecked does not even evaluate a precondition")


def check_script(path, text):
    first = text.split("\n", 1)[0]
    if "python" in first or path.endswith(".py"):
        try:
            compile(text, path, "exec")
        except SyntaxError as error:
            report(path, error.lineno or 1, f"Python syntax: {error.msg}")
    elif "bash" in first or path.endswith(".sh"):
        result = subprocess.run(["bash", "-n", path], capture_output=True, text=True)
        if result.returncode != 0:
            report(path, 1, f"shell syntax: {result.stderr.strip()}")
    if first.startswith("#!") and not os.access(path, os.X_OK):
        report(path, 1, "is a script but not executable (chmod +x)")


def main():
    os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
    for path in files():
        try:
            with open(path, encoding="utf-8") as file:
                text = file.read()
        except UnicodeDecodeError:
            continue  # a clip, a picture, a fuzz seed
        if path == "LICENSE" or path.startswith("Fuzz/") or "/Corpus/" in path or path == "Package.resolved":
            continue
        lines = text.count("\n")
        if lines > LINES_MAX and path.endswith((".swift", ".c", ".h", ".py", ".sh")):
            report(path, LINES_MAX, f"{lines} lines; split it by concept (limit {LINES_MAX})")
        for number, line in enumerate(text.splitlines(), 1):
            if MACHINE_PATH.search(line):
                report(path, number, f"names a path of somebody's machine: {MACHINE_PATH.search(line).group()}")
            if COPYRIGHT.search(line) and path.endswith((".swift", ".c", ".h", ".py", ".sh")):
                report(path, number, "no licence headers in files: LICENSE covers them")
            if re.search(r"#\s*include\s*[<\"]liburing\.h", line) and not (path.startswith("Sources/CUring/") and path.endswith(".c")):
                report(path, number, "liburing.h belongs in CUring's .c files alone (it cannot meet Glibc's module)")
        if path.endswith(".swift"):
            check_swift(path, text)
        if path.endswith((".py", ".sh")) or text.startswith("#!"):
            check_script(path, text)
    for line in sorted(found):
        print(line)
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
