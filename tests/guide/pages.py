"""The guide's pages, taken apart: their fenced blocks, links and headings, and the keys that they speak of."""
import dataclasses
import json
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[2]
GUIDE = ROOT / "docs" / "guide"
# What is known by its first line: /* quickstart.c */, # connector.yaml, // apl/apl.go
FILE_NAME = re.compile(r"^(?://|/\*|#) ([\w./-]+\.(?:c|cpp|go|py|ya?ml)) ?(?:\*/)?$")
MARKS = ("/* the snippet */", "# the snippet")


class Wrong(Exception):
    """What a page has that does not hold, and where; None: the message says it."""

    def __init__(self, block, why):
        super().__init__(f"{block.where if block else 'docs/guide'}: {why}")


@dataclasses.dataclass
class Block:
    page: str
    line: int
    language: str
    text: str
    # The block of output that follows; "" where there is none.
    output: str = ""

    @property
    def where(self):
        return f"docs/guide/{self.page}.md:{self.line}"

    @property
    def file_name(self):
        found = FILE_NAME.match(self.text.split("\n", 1)[0])
        return found and found[1]

    @property
    def is_frame(self):
        return any(mark in self.text for mark in MARKS)


@dataclasses.dataclass
class Page:
    name: str
    blocks: list


def read(path):
    """A page; a block of output belongs to the block before it."""
    blocks, inside, before = [], None, ""
    for number, line in enumerate(path.read_text().split("\n"), 1):
        if inside is None and line.startswith("```"):
            inside = Block(path.stem, number, line[3:].strip(), "")
        elif inside is not None and line == "```":
            if inside.language != "text":
                blocks.append(inside)
            elif not blocks or blocks[-1].output or not inside.text:
                raise Wrong(inside, "output that no block gives")
            else:
                blocks[-1].output = inside.text
            inside = None
        elif inside is not None:
            inside.text += line + "\n"
        elif line.startswith(("    ", "\t")) and not before.strip():
            raise Wrong(Block(path.stem, number, "", ""), "a block without a fence: nothing checks it")
        before = line
    if inside:
        raise Wrong(inside, "the block has no end")
    return Page(path.stem, blocks)


def anchors(text):
    """The names by which a page's headings are linked to, as GitHub makes them."""
    outside = re.sub(r"(?ms)^```.*?^```", "", text)
    titles = re.findall(r"(?m)^#+ (.+)$", outside)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def bad_links(paths):
    """Links to files and headings that are not there, and pages that the index does not lead to."""
    linked = set()
    for path in paths:
        text = path.read_text()
        for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"(?ms)^```.*?^```", "", text)):
            if "://" in target:
                continue
            file, _, anchor = target.partition("#")
            to = (path.parent / file).resolve() if file else path
            # Made by `make docs`.
            if "target/docs" in str(to):
                continue
            linked.add((path.stem, to))
            if not to.exists():
                yield f"{path.relative_to(ROOT)}: {target} is not there"
            elif anchor and to.suffix == ".md" and anchor not in anchors(to.read_text()):
                yield f"{path.relative_to(ROOT)}: {target}: there is no such heading"
    index = GUIDE / "README.md"
    for path in paths:
        if path.parent == GUIDE and path != index and ("README", path) not in linked:
            yield f"docs/guide/README.md does not lead to {path.name}"


def schema_words(node):
    """The keys of a configuration, and the values of which one is chosen; without notes and other names."""
    if isinstance(node, list):
        yield from (word for item in node for word in schema_words(item))
    if isinstance(node, dict):
        for key, value in node.get("properties", {}).items():
            if not value.get("description", "").startswith(("A note", "Another name")):
                yield key
        yield from (word for word in [node.get("const"), *node.get("enum", [])] if isinstance(word, str))
        yield from (word for value in node.values() for word in schema_words(value))


def unnamed(paths):
    """Keys and values that the guide does not speak of."""
    text = "\n".join(path.read_text() for path in paths)
    schema = json.loads((ROOT / "docs" / "connector.schema.json").read_text())
    for word in sorted(set(schema_words(schema))):
        if not re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text):
            yield f"docs/guide does not speak of `{word}`"
