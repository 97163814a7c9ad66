"""docs/reference-parity.md, held against the reference, the comparison that has just run, and this library.

    compare.py LIBAPL.SO --write     fills in its last column

Every name of the reference has exactly one row, with the default that it has there. What a row says of apl stands in the
header and in the configuration's schema. The tests it names have passed, or exist. What it says of the two sides is
what the comparison saw.
"""

import json
import re
from collections import Counter, defaultdict
from pathlib import Path

import names
from table import EVERYWHERE

ROOT = Path(__file__).parents[2]
PARITY = ROOT / "docs/reference-parity.md"
CELLS = ("there", "here", "default", "tests", "beside")
ROW = re.compile(r"^\| `(?P<name>[^`]+)`" + "".join(rf" \| (?P<{cell}>[^|]*)" for cell in CELLS) + r" \|$", re.M)
TEST = re.compile(r"#\[test\]\s*(?:(?:#\[.*\]|//.*)\s*)*fn (\w+)\(")
KEY = re.compile(r"[a-z0-9_]+(\.[a-z0-9_]+)+")
SAME, ALONE, NEVER = "same", "not compared", "neither says it"
EVERY_REQUEST = {rule.id for rule in EVERYWHERE if rule.field.startswith("*request*")}
"""In these all requests differ: rows of methods tell of them."""
VALUES = {"ApiLinkerError.error_category": "ErrorCategory", "HealthCheckResult.status": "HealthStatus"}
"""What has names for its values."""

ANSWERS = {
    "stream": {r"progress\[\d+\]": "progress"}, "sse": {r"events\[\d+\]": "event"},
    "consume": {r"chunks\[\d+\]\[\d+\]": "event", r"summary\.results\[\d+\]\[\d+\]": "event", "summary": "consume_sse:"},
    "download": {"summary": "download_stream:", r"progress\.(?:first|last)": "progress"},
    "send": {r"result\.failures\[\d+\]": "ApiLinkerError", "result": "send_data:"},
    "health": {"health": "HealthCheckResult"},
}
"""What stands where in an answer; of errors, which all calls have, see `member`."""


def member(field, calls):
    """The name of a field of the comparison, as rows have it: `2:progress[0].done` is `progress.done`; and where it stands."""
    number, rest = re.fullmatch(r"(?:(\d+):)?(.*)", field, re.S).groups()
    call = calls[int(number or 1) - 1][0] if calls else None
    for place, name in {"error": "ApiLinkerError", **ANSWERS.get(call, {})}.items():
        found = re.match(place + r"\.(\w+)", rest)
        if found:
            where = field[:len(field) - len(rest) + found.end()]
            return (f"{name} {found[1]}" if name.endswith(":") else f"{name}.{found[1]}"), where
    return None, None


class Seen:
    """What the comparison has seen, case by case, name by name, and of the values that are names of their own."""

    def __init__(self):
        self.cases, self.fields, self.values = {}, {}, defaultdict(set)

    def add(self, case, reference, apl, differing, faults):
        ids = {rule.id for _, rule in differing}
        own = {rule.id for _, rule in differing if rule in case.differs} - EVERY_REQUEST
        self.cases[case.name] = (own, ids, bool(faults))
        rules = dict(differing)
        for field, value in reference.items():
            name, where = member(field, case.calls)
            # The exceptions that are no ApiLinkerError have two fields of their own.
            if name and name != "ApiLinkerError.type":
                self.fields.setdefault(name, set())
            if name in VALUES and field in apl:
                for said in (value, apl[field]):
                    self.values[f"{VALUES[name]}.{json.loads(said)}"] |= {rules[field].id} if field in rules else set()
        for field, rule in differing:
            name, where = member(field, case.calls)
            # Not where one side has no such thing at all: what the case is about tells of that.
            if name in self.fields and all(any(of(where, known) for known in side) for side in (reference, apl)):
                self.fields[name].add(rule.id)


def of(where, field):
    """Is it that field, or one inside it?"""
    return field.startswith(where) and field[len(where):][:1] in ("", ".", "[")


def quoted(cell):
    return re.findall(r"`([^`]+)`", cell)


class Parity:
    def __init__(self, seen, declared):
        self.seen, self.faults = seen, []
        document = PARITY.read_text()
        self.rows = [found.groupdict() for found in ROW.finditer(document)]
        self.differences = set(declared) | set(re.findall(r"^\| `(\w+)` \|", (ROOT / "docs/differences.md").read_text(), re.M))
        sources = [path for folder in ("src", "tests") for path in ROOT.glob(f"{folder}/**/*.rs") if "target" not in path.parts]
        self.tests = {name for path in sources for name in TEST.findall(path.read_text())}
        self.header = set(re.findall(r"\bapl_\w+", (ROOT / "include/apl.h").read_text()))
        self.schema = json.loads((ROOT / "docs/connector.schema.json").read_text())
        marked = len(re.findall(r"^\| `", document, re.M))
        if marked != len(self.rows):
            self.faults.append(f"{marked - len(self.rows)} rows do not have six cells")

    def check(self):
        wanted = names.names()
        wanted.update({name: "—" for name in self.seen.fields if name not in wanted})
        have = Counter(row["name"] for row in self.rows)
        self.faults += [f"{name}: apilinker has it, no row does" for name in wanted if name not in have]
        self.faults += [f"{name}: a row has it, apilinker does not" for name in have if name not in wanted]
        self.faults += [f"{name}: has {count} rows" for name, count in have.items() if count > 1]
        for row in self.rows:
            for what in self.wrong(row, wanted.get(row["name"])):
                self.faults.append(f"{row['name']}: {what}")
        return [f"docs/reference-parity.md: {fault}" for fault in self.faults]

    def wrong(self, row, default):
        there = row["there"].strip("`")
        if default is not None and there != default:
            yield f"the default there is {default}, not {there}"
        yield from self.here(row)
        tests = quoted(row["tests"])
        if not tests and row["beside"] != NEVER:
            yield "no test shows it"
        for test in tests:
            if test not in self.seen.cases and test not in self.tests:
                yield f"there is no case and no test {test!r}"
            elif self.seen.cases.get(test, ((), (), False))[2]:
                yield f"the case {test!r} has failed"
        for id in quoted(row["beside"]):
            if id not in self.differences:
                yield f"docs/differences.md has no {id}"
        if row["beside"] != self.beside(row):
            yield f"beside each other: {self.beside(row)}, not {row['beside']}"

    def beside(self, row):
        """What the run has to say of a row: of what an answer has, in all cases; of the others, in those of the row."""
        tests, name = quoted(row["tests"]), row["name"]
        cases = [self.seen.cases[test] for test in tests if test in self.seen.cases]
        if name in self.seen.fields:
            ids = set(self.seen.fields[name])
        elif name in self.seen.values:
            ids = set(self.seen.values[name])
        elif not tests:
            return NEVER if name.split(".")[0] in VALUES.values() else ALONE
        else:
            ids = {id for own, general, _ in cases for id in (general if name.endswith("()") else own)}
        ids |= {test for test in tests if test in self.differences}
        if ids:
            return ", ".join(f"`{id}`" for id in sorted(ids))
        return SAME if cases else ALONE

    def here(self, row):
        """The functions of the header, and the keys with their defaults."""
        keys = []
        for word in quoted(row["here"]):
            if word.startswith("apl_"):
                if word not in self.header:
                    yield f"include/apl.h has no {word}"
                continue
            found = self.keys(word.split("."))
            if KEY.fullmatch(word) and not found:
                yield f"the configuration has no {word}"
            keys += [(word, found)] if found else []
        said = row["default"].strip("`")
        # The first key is the one; others are named beside it.
        for word, found in keys[:1] if said != "—" else []:
            if not any(fits(key, required, said) for key, required in found):
                yield f"the default of {word} is not {said}"

    def keys(self, path):
        """The keys of that path, in a connector, an endpoint or a kind of auth; and whether they must be there."""
        at = [self.schema, self.schema["$defs"]["EndpointKeys"]]
        for name in path:
            found = []
            for node in (inner for outer in at for inner in self.inside(outer[0] if type(outer) is tuple else outer)):
                if name in node.get("properties", {}):
                    found.append((node["properties"][name], name in node.get("required", [])))
            at = found
        return at

    def inside(self, node):
        """A node of the schema, and those that it is made of."""
        yield node
        if "$ref" in node:
            yield from self.inside(self.schema["$defs"][node["$ref"].rpartition("/")[2]])
        for part in [*node.get("anyOf", []), *node.get("oneOf", [])]:
            yield from self.inside(part)

    def write(self):
        """Fills in what stands beside."""
        def filled(found):
            row = found.groupdict()
            cells = [f"`{row['name']}`", *(row[cell] for cell in CELLS[:-1]), self.beside(row)]
            return f"| {' | '.join(cells)} |"
        PARITY.write_text(ROW.sub(filled, PARITY.read_text()))


def fits(key, required, said):
    """Is this the default of a key? Where the schema has none, its description says it, or there is none."""
    default, description = key.get("default"), " ".join(key.get("description", "").split())
    if default is not None:
        return said in (str(default), json.dumps(default))
    if "Default" in description:
        return f"Default {said}" in description or f"Default: {said}" in description
    return said == "required" or not required and said in ("none", "{}")
