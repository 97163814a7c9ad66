"""What came out, with nothing lost, and as fields that can be compared."""

import hashlib
import json
import re


class Number(str):
    """A number as it was written."""


class Members(list):
    """The members of an object, duplicates with them."""


def lossless(text):
    """JSON with nothing lost, which Python's own reading of it would lose."""
    return json.loads(
        text, parse_int=Number, parse_float=Number, parse_constant=Number, object_pairs_hook=Members
    )


def shown(data):
    """Bytes as a text that can be read."""
    if len(data) <= 100:
        return data.decode("latin-1")
    return f"{len(data)} bytes, sha256 {hashlib.sha256(data).hexdigest()[:16]}"


def text(value):
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, Members):
        return "{" + ",".join(f"{json.dumps(k)}:{text(v)}" for k, v in value) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(text, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


ITEMS = re.compile(r"(\d+:)?(chunks|events|progress|summary\.results)")
"""What comes piece by piece: how many there are is a field of its own."""


def flat(value, name, out):
    """Every leaf of a value under its name; what cannot be told apart by names is one leaf."""
    if type(value) is list and ITEMS.match(name):
        out[f"{name}.count"] = str(len(value))
        for at, inner in enumerate(value):
            flat(inner, f"{name}[{at}]", out)
        return
    if isinstance(value, Members) and value and len({k for k, _ in value}) == len(value):
        for key, inner in value:
            flat(inner, f"{name}.{key}", out)
    elif type(value) is list and value:
        for at, inner in enumerate(value):
            flat(inner, f"{name}[{at}]", out)
    else:
        out[name] = text(value)


def lone(field, sides):
    """Is it of a piece that only one side has? The counts tell of those."""
    for found in re.finditer(r"\[(\d+)\]", field):
        counts = [side.get(f"{field[:found.start()]}.count") for side in sides]
        if any(count and int(count) <= int(found[1]) for count in counts):
            return True
    return False
