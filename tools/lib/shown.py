"""Whether the tests that documents name are there. Run by tools/check; prints `file:line: what` and exits 1 if anything is found.

In each table of docs/*.md whose last column is called `shown by`, every row names a test, or says `the same` as the one above, or *later*, or that
it is no part of a relay. A name with underscores is a case of Tests/Interop, one that ends in `Tests` a suite of the unit tests (`Suite.Part`),
`….py` a file of the tests. And docs/cache.md has every reason that a play can be met with.
"""
import ast
import glob
import os
import re
import sys

CASE = re.compile(r"[a-z0-9]+(?:_[a-z0-9]+)+(?:\\?\[[^\]]+\])?")
SUITE = re.compile(r"\w+Tests(?:\.\w+)?")
found = []


def cases():
    """Functions that are registered as tests."""
    names = set()
    for path in glob.glob("Tests/Interop/cases/*.py"):
        with open(path, encoding="utf-8") as file:
            tree = ast.parse(file.read())
        for node in tree.body:
            if isinstance(node, ast.FunctionDef) and any(getattr(getattr(one, "func", None), "id", "") == "test" for one in node.decorator_list):
                names.add(node.name)
    return names


def suites():
    names = set()
    for path in glob.glob("Tests/**/*.swift", recursive=True):
        with open(path, encoding="utf-8") as file:
            names |= set(re.findall(r"\b(?:struct|class|enum|actor|extension) (\w+)", file.read()))
        # Parts of a suite that stand in a file of their own go by its name.
        names.add(os.path.splitext(os.path.basename(path))[0])
    return names


def problem(name, known_cases, known_suites):
    """What is wrong with a name; None if it is there, or is none of a test."""
    if name.endswith(".py"):
        places = (name, f"Tests/Interop/{name}", f"Tests/Interop/cases/{name}")
        return None if any(os.path.isfile(place) for place in places) else f"there is no file {name} in the tests"
    if SUITE.fullmatch(name):
        return None if all(part in known_suites for part in name.split(".")) else f"there is no suite {name} in the unit tests"
    if CASE.fullmatch(name):
        return None if re.split(r"\\?\[", name)[0] in known_cases else f"there is no case {name} in Tests/Interop"
    return None


def check_tables(path, known_cases, known_suites):
    with open(path, encoding="utf-8") as file:
        lines = file.read().splitlines()
    inside, rows = False, 0
    for number, line in enumerate(lines, 1):
        if not line.startswith("|"):
            inside = False
            continue
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if cells and cells[-1] == "shown by":
            inside = True
            continue
        if not inside or not line.strip("|- "):
            continue
        rows += 1
        names = re.findall(r"`([^`]+)`", cells[-1])
        for name in names:
            what = problem(name, known_cases, known_suites)
            if what:
                found.append(f"{path}:{number}: {what}")
        if not names and "the same" not in cells[-1] and not any("*later*" in cell or "no part of a relay" in cell for cell in cells[1:]):
            found.append(f"{path}:{number}: `{cells[0][:60]}` names no test that shows it")
    return rows


def check_reasons():
    with open("Sources/Signalling/Proxy/ProxyReason.swift", encoding="utf-8") as file:
        source = file.read()
    with open("docs/cache.md", encoding="utf-8") as file:
        told = file.read()
    for name, raw in re.findall(r"^    case `?(\w+)`?(?: = \"([^\"]+)\")?$", source, re.MULTILINE):
        if f"`{raw or name}`" not in told:
            found.append(f"docs/cache.md:1: says nothing of the reason `{raw or name}`")


def main():
    os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
    known_cases, known_suites = cases(), suites()
    rows = sum(check_tables(path, known_cases, known_suites) for path in sorted(glob.glob("docs/*.md")))
    check_reasons()
    if not (rows and known_cases and known_suites):
        found.append("docs/features.md:1: no table says by which tests its rows are shown, or there are no tests")
    for line in found:
        print(line)
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
