#!/usr/bin/env python3
"""Compiles and runs what the pages of docs/guide show: tests/guide/run.py [PAGE…]

Every block is checked, by its language:

  c, cpp, go, python  a whole program, or a part that is put into its language's frame: the block with the words
                      "the snippet", in README.md and languages.md. It is run against the demo API, a new one for each
                      page, and has to print what the next block of `text` says. C functions alone stand before the
                      main of the next part
  sh                  is run
  yaml, json          a connector's configuration: the library opens it, or says why not in the next block of `text`;
                      without a base_url, it gets one. An editor reads it too: editor/check.mjs. With
                      "yaml.schemas", it is the settings of that editor

A block whose first line is a comment with the name of a file is that file for those after it. A program with a name and
without output is run by an `sh` after it. Any other block fails.
In output, `…` stands for what differs, http://127.0.0.1:8080 for the demo API. Where the page says `?`, APL_BLESS=1 writes
what was printed.
"""
import concurrent.futures
import ctypes
import json
import os
import re
import shutil
import subprocess
import sys

import output
from pages import GUIDE, MARKS, ROOT, Wrong, bad_links, read, unnamed

OUT = ROOT / "target" / "guide"
RELEASE = ROOT / "target" / "release"
SERVER = ROOT / "examples" / "demo-server" / "target" / "debug" / "demo-server"
# As the Makefile's, and under AddressSanitizer: what the pages show leaks nothing either.
STRICT = "-O1 -g -Wall -Wextra -Wpedantic -Wshadow -Werror".split()
LINK = [f"-L{RELEASE}", "-lapl", f"-Wl,-rpath,{RELEASE}", "-pthread"]
C = ["gcc", "-std=c99", "-D_XOPEN_SOURCE=700", "-Wstrict-prototypes", "-fsanitize=address", *STRICT]
CXX = ["g++", "-std=c++17", "-fsanitize=address", *STRICT]
CRASHED = 99


def environment(**more):
    """What a program finds. The compilers find the library as if it were installed."""
    bindings = ROOT / "bindings" / "go"
    own = {
        "APL": ROOT, "CGO_CFLAGS": f"-I{bindings}", "CGO_LDFLAGS": f"-L{RELEASE} -lapl -Wl,-rpath,{RELEASE}",
        "GOFLAGS": "-mod=mod", "GOPROXY": "off", "LD_LIBRARY_PATH": RELEASE, "PYTHONPATH": OUT / "python",
        "PYTHONDONTWRITEBYTECODE": "1", "ASAN_OPTIONS": f"exitcode={CRASHED}", "LSAN_OPTIONS": f"exitcode={CRASHED}",
    }
    return {**os.environ, **{key: str(value) for key, value in own.items()}, **more}


def build(block, command):
    done = subprocess.run(command, cwd=OUT, env=environment(), text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT)
    if done.returncode:
        raise Wrong(block, f"does not compile\n{done.stdout}")


class Frames:
    """What a part stands in, by its language."""

    def __init__(self, pages):
        blocks = [block for page in pages for block in page.blocks]
        self.by_language = {}
        for block in (block for block in blocks if block.is_frame):
            if block.language in self.by_language:
                raise Wrong(block, f"is a second frame for {block.language}")
            self.by_language[block.language] = block.text
            # A frame is compiled with what stands in it.
            if not any(b.language == block.language and not self.is_whole(b) for b in blocks):
                raise Wrong(block, "nothing stands in this frame")

    @staticmethod
    def is_whole(block):
        """Is it a program, or a frame for one, or a file that is a part of one?"""
        mains = {"c": r"^int main\(", "cpp": r"^int main\(", "go": r"^package ", "python": r"^import apl$"}
        return bool(block.file_name) or re.search(mains[block.language], block.text, re.MULTILINE) is not None

    def whole(self, block, before=""):
        """The program that a block is, or is a part of."""
        if self.is_whole(block):
            return before + block.text
        frame = self.by_language.get(block.language)
        if frame is None:
            raise Wrong(block, f"is a part of a program, and no page has a frame for {block.language}")
        mark = next(mark for mark in MARKS if mark in frame)
        indent = re.search(rf"(?m)^([ \t]*){re.escape(mark)}", frame)[1]
        part = "".join(indent + line if line.strip() else line for line in block.text.splitlines(True))
        head, main, tail = frame.partition("int main(") if before else ("", "", frame)
        return head + before + ("\n" if before else "") + main + tail.replace(f"{indent}{mark}\n", part)


class Go:
    """Go's programs are built all at once: one folder for each, beside the package that they share."""

    def __init__(self, pages, frames):
        self.folder, blocks = OUT / "go", [b for page in pages for b in page.blocks if b.language == "go"]
        shutil.rmtree(self.folder, ignore_errors=True)
        for block in blocks:
            if not block.is_frame:
                self.write(block, block.text if block.file_name else frames.whole(block))
        (self.folder / "go.mod").write_text("module example.com/guide\n\ngo 1.21\n")
        formatted = subprocess.run(["gofmt", "-l", "."], cwd=self.folder, text=True, stdout=subprocess.PIPE, check=True)
        if formatted.stdout:
            raise Wrong(None, f"gofmt would write these otherwise: {formatted.stdout}")
        for command in (["vet", "./..."], ["build", "-o", f"{OUT}/go-bin/", "./..."]):
            done = subprocess.run(["go", *command], cwd=self.folder, env=environment(), text=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            if done.returncode:
                raise Wrong(None, f"go {command[0]}: {done.stdout}")

    def write(self, block, text):
        path = self.folder / (block.file_name or f"{block.page}-{block.line}/main.go")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


class Run:
    """One page, from its first block to its last, in a folder of its own."""

    def __init__(self, page, frames, address):
        self.page, self.frames, self.address = page, frames, address
        self.folder = OUT / "pages" / page.name
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        # Functions for the next part, and how many programs ran.
        self.before, self.programs = "", 0

    def all(self):
        for block in self.page.blocks:
            check = getattr(self, block.language, None) if block.language in LANGUAGES else None
            if check is None:
                raise Wrong(block, f"nothing checks {block.language or 'a block without a language'!r}")
            if not block.is_frame:
                check(block)
        if self.before:
            raise Wrong(self.page.blocks[-1], "before it stand functions that no program has")
        if not self.programs:
            raise Wrong(self.page.blocks[0], "no program of this page ran")

    def execute(self, block, command):
        status, printed = output.run([str(part) for part in command], self.folder, environment(DEMO_URL=self.address))
        if printed and not printed.endswith("\n"):
            printed += "\n"
        port = self.address.rpartition(":")[2]
        printed = printed.replace(f":{port}", ":8080").replace(str(ROOT), "$APL")
        if status not in (0, 1):
            raise Wrong(block, f"ended with {status}\n{printed}")
        self.compare(block, printed)
        self.programs += 1

    def compare(self, block, printed):
        path = GUIDE / f"{block.page}.md"
        if block.output == "?\n" and os.environ.get("APL_BLESS"):
            # In the order of the page, so it is the first one that is left.
            new = path.with_suffix(".new")
            new.write_text(path.read_text().replace("```text\n?\n", f"```text\n{printed}", 1))
            new.rename(path)
        elif not output.matches(block.output, printed):
            raise Wrong(block, f"gave something else\n{output.difference(block.output, printed)}")

    def place(self, block, suffix):
        return self.folder / (block.file_name or f"line-{block.line}{suffix}")

    def c(self, block):
        source = self.place(block, ".c")
        if re.search(r"^static .*\) \{$", block.text, re.MULTILINE) and "int main(" not in block.text:
            self.before += block.text
            return
        source.write_text(self.frames.whole(block, self.before))
        self.before = ""
        build(block, [*C, f"-I{ROOT}/include", source, "-o", source.with_suffix(""), *LINK])
        if block.file_name and not block.output:
            return self.is_run_later(block, source.stem)
        self.execute(block, [source.with_suffix("")])

    def is_run_later(self, block, name):
        """A program without output here is one that a later `sh` runs."""
        later = self.page.blocks[self.page.blocks.index(block):]
        if not any(b.language == "sh" and f"./{name}" in b.text for b in later):
            raise Wrong(block, "nothing runs this program")

    def cpp(self, block):
        source = self.place(block, ".cpp")
        source.write_text(self.frames.whole(block))
        build(block, [*CXX, f"-I{ROOT}/include", source, "-o", source.with_suffix(""), *LINK])
        self.execute(block, [source.with_suffix("")])

    def go(self, block):
        # What has a name is the package that the others use.
        if not block.file_name:
            self.execute(block, [OUT / "go-bin" / f"{block.page}-{block.line}"])

    def python(self, block):
        if block.file_name:
            return
        source = self.place(block, ".py")
        source.write_text(self.frames.whole(block))
        self.execute(block, [sys.executable, source])

    def sh(self, block):
        self.execute(block, ["bash", "-euo", "pipefail", "-c", block.text])

    def yaml(self, block):
        text = block.text
        if not re.search(r"^[\"{ ]*base_url\b", text, re.MULTILINE):
            text += "base_url: https://api.example.com\n"
        self.open(block, text, "connector.yaml")

    def json(self, block):
        content = json.loads(block.text)
        if "yaml.schemas" in content:
            (OUT / "editor.json").write_text(block.text)
            return
        content.setdefault("base_url", "https://api.example.com")
        self.open(block, json.dumps(content), "connector.json")

    def open(self, block, text, name):
        """What opens has no output; what does not is the page's example of a mistake, with no variable set."""
        path = self.folder / (block.file_name or f"line-{block.line}/{name}")
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        names = [] if block.output else re.findall(r"(?<!\$)\$\{(\w+)\}", block.text)
        variables = {name: self.address if name == "DEMO_URL" else f"example-{name}" for name in names}
        done = subprocess.run([sys.executable, "-B", __file__, "--open", path.name], cwd=path.parent, text=True,
                              env=environment(**variables), stdout=subprocess.PIPE)
        self.compare(block, done.stdout)
        self.show_editor(block, text, path.suffix)

    def show_editor(self, block, text, suffix):
        """What editor/check.mjs reads: every configuration, and what the library says of those with a mistake."""
        place = self.folder / "configurations" / f"{block.line}{'.mistake' if block.output else suffix}"
        place.parent.mkdir(exist_ok=True)
        place.write_text(text)
        if block.output:
            place.with_suffix(".said").write_text(block.output)
        schema = self.folder / "connector.schema.json"
        if schema.exists():
            shutil.copy(schema, place.parent)


LANGUAGES = ("c", "cpp", "go", "python", "sh", "yaml", "json")


def open_connector(path):
    """Prints why it cannot be opened, if so."""
    library = ctypes.CDLL(str(RELEASE / "libapl.so"))
    library.apl_error_message.restype = ctypes.c_char_p
    library.apl_error_message.argtypes = [ctypes.c_void_p]
    library.apl_status_name.restype = ctypes.c_char_p
    connector, error = ctypes.c_void_p(), ctypes.c_void_p()
    status = library.apl_connector_open(os.fsencode(path), ctypes.byref(connector), ctypes.byref(error))
    if status:
        print(f"{library.apl_status_name(status).decode()}: {library.apl_error_message(error).decode()}")


def run_page(name):
    """Itself once more, beside a demo API of its own."""
    command = [ROOT / "tests" / "support" / "with-server", "DEMO_URL", SERVER, sys.executable, "-B", __file__]
    done = subprocess.run([*command, "--page", name], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return done.returncode == 0, done.stdout


def main():
    if sys.argv[1:2] == ["--open"]:
        return open_connector(sys.argv[2])
    paths = sorted(GUIDE.glob("*.md"))
    pages = [read(path) for path in paths]
    frames = Frames(pages)
    if sys.argv[1:2] == ["--page"]:
        page = next(page for page in pages if page.name == sys.argv[2])
        run = Run(page, frames, os.environ["DEMO_URL"])
        run.all()
        return print(f"ok      {page.name}: {len(page.blocks)} blocks, {run.programs} programs")

    wrong = list(bad_links([*paths, ROOT / "docs" / "README.md", ROOT / "README.md", ROOT / "CONTRIBUTING.md"]))
    wrong += unnamed(paths)
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / "python").mkdir(exist_ok=True)
    for block in (block for page in pages for block in page.blocks):
        if block.language == "python" and block.file_name:
            (OUT / "python" / block.file_name).write_text(block.text)
    Go(pages, frames)
    names = [page.name for page in pages if not sys.argv[1:] or page.name in sys.argv[1:]]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for good, said in pool.map(run_page, names):
            print(said.rstrip())
            wrong += [] if good else ["a page"]
    for what in wrong:
        print(f"FAILED  {what}")
    return 1 if wrong else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Wrong as what:
        sys.exit(f"FAILED  {what}")
