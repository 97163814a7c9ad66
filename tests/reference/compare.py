"""The same connector blocks and the same calls through apilinker and through apl, compared field by field.

    compare.py LIBAPL.SO [WORD]      WORD: only the cases with it in their names
    compare.py LIBAPL.SO --write     fills in the last column of docs/reference-parity.md

Every difference must be one that docs/differences.md has, and every line there must be shown by a case. What
docs/reference-parity.md says of both sides must be what came out here.
"""

import fnmatch
import os
import re
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from urllib.parse import parse_qsl

from cases import CASES
from clients import Reference, Refused
from library import Apl, load
from parity import Parity, Seen
from recorder import Recorder
from table import EVERYWHERE
from values import Members, flat, lone, text

DOCUMENT = Path(__file__).parents[2] / "docs/differences.md"


def request_fields(request, name, out):
    for key in ("method", "target", "version"):
        out[f"{name}.{key}"] = request[key]
    # Names in any case and any order are the same (RFC 9110 5.1, 5.3); values are not.
    for header, values in request["headers"].items():
        out[f"{name}.headers.{header}"] = ", ".join(values)
        if len(values) > 1:
            out[f"{name}.headers.{header}.lines"] = str(len(values))
    body = request["body"].decode(errors="surrogateescape")
    if request["headers"].get("content-type") == ["application/x-www-form-urlencoded"]:
        for key, value in parse_qsl(body, keep_blank_values=True):
            out[f"{name}.form.{key}"] = value
    else:
        out[f"{name}.body"] = body


def shape(field, value):
    """What is made anew each time is compared by its shape."""
    if field.endswith("timestamp"):
        return re.sub(r"\d", "0", re.sub(r'(\.\d+)?(?=Z?"$)', ".0", value, count=1))
    if field.endswith("latency_ms"):
        return "a float" if "." in value else "an integer"
    if field.endswith("expires_at") and value.isdigit():
        return f"in {round((int(value) - time.time()) / 60)} minutes"
    return value


def side(make, case, recorder, folder):
    """Everything that one side did, as fields; and how many requests that was."""
    recorder.script(case.answers)
    shutil.rmtree(folder, ignore_errors=True)
    for name, content in {".": None, **case.files}.items():
        path = Path(folder, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir(exist_ok=True) if content is None else path.write_bytes(content)
    try:
        client = make(recorder.fill(case.text), folder)
    except Refused as refused:
        return {"config": f"refused: {refused}"}, 0
    out, count, begun = {"config": "accepted"}, 0, time.monotonic()
    for number, call in enumerate(case.calls, 1):
        prefix = f"{number}:" if number > 1 else ""
        outcome = client.call(*call)
        for part, value in outcome:
            flat(value, prefix + part, out)
        told = sorted((part, value) for part, value in outcome if part not in BESIDE)
        out[prefix + "kind"] = " and ".join(part for part, _ in told)
        out[prefix + "outcome"] = " and ".join(brief(part, value) for part, value in told)
        requests = recorder.taken()
        count += len(requests)
        out[prefix + "requests"] = " then ".join(f"{r['method']} {r['target']}" for r in requests)
        for at, request in enumerate(requests, 1):
            request_fields(request, f"{prefix}request{at if at > 1 else ''}", out)
            out["config"] += f", {request['method']} {request['target']}"
    if case.wait:
        out["lasted"] = f"{case.wait} s or more" if time.monotonic() - begun >= case.wait else f"less than {case.wait} s"
    client.close()
    return {field: shape(field, value) for field, value in out.items()}, count


BESIDE = ("progress", "files")
"""What comes beside an outcome, whatever that is."""


def brief(part, value):
    """What came out in a few words: they stand for the rest where the two sides' outcomes differ in kind."""
    if type(value) is list:
        return part if part != "result" else f"{part} {text(value)}"
    known = dict(value) if isinstance(value, Members) else {}
    return f"{part} {text(value)}" if part in ("result", "summary") else f"{part} {known.get('error_category', '')}".strip()


def compared(reference, apl):
    """The fields to compare.

    Not those of a part that only one side has: `config`, `outcome` and `requests` tell of it, and only then are
    the first two of these compared.
    """
    refused = [side["config"].startswith("refused") for side in (reference, apl)]
    if any(refused):
        return [] if all(refused) else ["config"]
    part = re.compile(r"(\d+:)?[a-z]+\d*")
    both = {part.match(field)[0] for field in reference} & {part.match(field)[0] for field in apl}
    both.discard("config")
    for name in [name for name in both if name.endswith("kind")]:
        both.discard(name)
        if reference[name] == apl[name]:
            both.discard(name.replace("kind", "outcome"))
        else:
            both -= {name.replace("kind", part) for part in BESIDE}
    # Equally many requests are compared one by one; of others, those that are for the same.
    for name in [name for name in both if name.endswith("requests")]:
        theirs, ours = (side[name].split(" then ") if side[name] else [] for side in (reference, apl))
        if len(theirs) == len(ours):
            both.discard(name)
            continue
        for at, (one, other) in enumerate(zip(theirs, ours), 1):
            if one != other:
                both.discard(f"{name[:-1]}{at if at > 1 else ''}")
    fields = [field for field in dict.fromkeys([*reference, *apl]) if part.match(field)[0] in both]
    return [field for field in fields if not lone(field, (reference, apl))]


def fits(pattern, value):
    if pattern is ...:
        return True
    return bool(pattern.fullmatch(value or "")) if isinstance(pattern, re.Pattern) else pattern == value


def judge(case, reference, apl):
    """What differs and is not declared, or is declared and does not differ; and each field that differs, with its id."""
    faults, differing, met = [], [], set()
    for field in compared(reference, apl):
        theirs, ours = reference.get(field), apl.get(field)
        if theirs == ours:
            continue
        rules = [rule for rule in (*case.differs, *EVERYWHERE) if fnmatch.fnmatchcase(field, rule.field)]
        found = next((rule for rule in rules if fits(rule.reference, theirs) and fits(rule.apl, ours)), None)
        if found is None:
            faults.append(f"{field}: not declared\n      reference {theirs!r}\n      apl       {ours!r}")
            continue
        differing.append((field, found))
        met.add(found)
    for rule in case.differs:
        if rule not in met:
            faults.append(f"{rule.field}: {rule.id} is declared, but this does not differ so")
    return faults, differing


def declared():
    """The identifiers in the document: the first cell of a row, `like-this`."""
    rows = re.findall(r"^\| `([a-z0-9-]+)` \|", DOCUMENT.read_text(), re.M)
    return Counter(rows)


def main():
    library, word = load(sys.argv[1]), (sys.argv[2:] or [""])[0]
    write, word = word == "--write", word.removeprefix("--write")
    recorder, shown, seen, failed, fields, requests = Recorder(), Counter(), Seen(), 0, 0, 0
    for name in [name for name, count in Counter(case.name for case in CASES).items() if count > 1]:
        failed += 1
        print(f"{name}: two cases have this name")
    cases = [case for case in CASES if word in case.name]
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        del os.environ[name]
    folder = tempfile.mkdtemp(prefix="compare-")
    for case in cases:
        os.environ.update({name: recorder.fill(value) for name, value in case.env.items()})
        reference, theirs = side(Reference, case, recorder, folder)
        apl, ours = side(lambda *arguments: Apl(library, *arguments), case, recorder, folder)
        for name in case.env:
            del os.environ[name]
        requests += theirs + ours
        fields += len(compared(reference, apl))
        faults, differing = judge(case, reference, apl)
        shown.update(rule.id for _, rule in differing)
        seen.add(case, reference, apl, differing, faults)
        if faults:
            failed += 1
            print(case.name, *faults, sep="\n    ")
    shutil.rmtree(folder)
    if not word:
        document = declared()
        for name in sorted(shown.keys() - document.keys()):
            failed += 1
            print(f"{name}: a case shows it, docs/differences.md does not have it")
        for name in sorted(document.keys() - shown.keys()):
            failed += 1
            print(f"{name}: docs/differences.md has it, no case shows it")
        for name in [name for name, count in document.items() if count > 1]:
            failed += 1
            print(f"{name}: docs/differences.md has it twice")
        parity = Parity(seen, document)
        if write:
            parity.write()
        else:
            wrong = parity.check()
            failed += len(wrong)
            print(*wrong, sep="\n", end="\n" if wrong else "")
    print(
        f"{len(cases)} cases, {requests} requests, {fields} fields compared; "
        f"{sum(shown.values())} fields differ, by {len(shown)} declared differences; {failed} faults"
    )
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
