#!/usr/bin/env python3
"""Benchmarks: the library and libcurl, both called from C, in turn, on one machine.

    bench/run.py [--rounds N] [--lib FOLDER] [WORK…]      WORK: get-200 get-10k https-get-10k
                                                            download-http download-https
                                                            sse-100 sse-100-crlf sse-10k quiet merge start idle size

Prints the median, least and greatest of each round's ratio to libcurl (less is better), and writes them to
target/bench/results.json. The client and the server of a GET share one core: across cores the wake-ups are
most of the time. A download has a core for each, and its file lies in memory. Needs gcc, nginx, openssl, taskset and libcurl's headers.
"""
import argparse
import contextlib
import functools
import json
import os
import pathlib
import signal
import socket
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
OUT = ROOT / "target" / "bench"
CORE = "0"
OTHER_CORE = "1"
# Files of this size, in memory: the disk is nobody's merit.
DOWNLOAD = 1 << 30
MEMORY = pathlib.Path("/dev/shm")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def item(n):
    return {"id": n, "name": f"user {n}", "tags": ["a", "b"], "score": n / 7}


def documents(folder):
    """A JSON document of 200 bytes and one of about 10 KB."""
    folder.mkdir(parents=True, exist_ok=True)
    small = json.dumps({"items": [item(1), item(2)], "pad": ""})
    small = small.replace('"pad": ""', f'"pad": "{"x" * (200 - len(small))}"')
    items = []
    while len(json.dumps({"items": items})) < 10_000:
        items.append(item(len(items)))
    (folder / "200.json").write_text(small)
    (folder / "10k.json").write_text(json.dumps({"items": items}))


@functools.cache
def certificate():
    """One for all servers: a second one would take the first one's place under its server."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-keyout", OUT / "key.pem", "-out", OUT / "cert.pem", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-addext", "basicConstraints=CA:FALSE"],
        check=True, stderr=subprocess.DEVNULL)


class Server:
    """nginx with a certificate of its own, on free ports, pinned to the core of the clients or the other one."""

    def __init__(self, core):
        self.core = core

    def __enter__(self):
        documents(OUT / "www")
        certificate()
        self.http, self.https = free_port(), free_port()
        text = (ROOT / "bench" / "nginx.conf").read_text()
        text = text.replace("HTTPS", str(self.https)).replace("HTTP", str(self.http)).replace("FOLDER", str(OUT)).replace("CORE", self.core)
        configuration = OUT / f"nginx-{self.core}.conf"
        configuration.write_text(text)
        self.process = subprocess.Popen(["taskset", "-c", self.core, "nginx", "-e", "stderr", "-c", configuration])
        deadline = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.http), 1).close()
                return self
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    sys.exit("nginx did not start")
                time.sleep(0.02)

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()

    def base(self, scheme):
        return f"{scheme}://localhost:{self.https if scheme == 'https' else self.http}"


def build(lib):
    walker = ROOT / "bench" / "walker"
    subprocess.run(["cargo", "build", "--quiet", "--locked", "--release", "--manifest-path", walker / "Cargo.toml",
                    "--target-dir", OUT / "walker"], check=True)
    for source in sorted((ROOT / "bench").glob("*.c")):
        apl = source.stem.endswith("apl")
        libs = ["-ldl", "-pthread"]
        if apl and not source.stem.startswith("start"):
            libs += [f"-L{lib}", "-lapl", f"-Wl,-rpath,{lib}"]
        if source.stem.endswith("_curl") and not source.stem.startswith("start"):
            libs += ["-lcurl"]
        if source.stem == "merge_curl":
            libs = [OUT / "walker" / "release" / "libwalker.a", "-lcurl", *libs]
        subprocess.run(["gcc", "-O2", "-Wall", "-Werror", f"-I{ROOT / 'include'}", source, "-o", OUT / source.stem, *libs],
                       check=True)


def client(name, *arguments):
    printed = subprocess.run(["taskset", "-c", CORE, OUT / name, *map(str, arguments)], check=True,
                             stdout=subprocess.PIPE, text=True).stdout
    return [float(word) for word in printed.split()]


def compare(work, rounds, ours, theirs):
    """Both in turn; who begins changes from round to round."""
    ratios = {"wall": [], "cpu": []}
    for n in range(rounds + 1):
        first, second = (ours, theirs) if n % 2 else (theirs, ours)
        a, b = first(), second()
        mine, peer = (a, b) if n % 2 else (b, a)
        if n == 0:
            continue  # warms the caches
        ratios["wall"].append(mine[0] / peer[0])
        ratios["cpu"].append(mine[1] / peer[1])
    row = {"rounds": rounds}
    for kind, values in ratios.items():
        row[kind] = round(statistics.median(values), 3)
        row[kind + "_range"] = [round(min(values), 3), round(max(values), 3)]
    print(f"{work:15} cpu {row['cpu']:.2f} ({row['cpu_range'][0]:.2f} to {row['cpu_range'][1]:.2f})"
          f"   wall {row['wall']:.2f} ({row['wall_range'][0]:.2f} to {row['wall_range'][1]:.2f})", flush=True)
    return row


def gets(server, work, rounds):
    scheme = "https" if work.startswith("https") else "http"
    name, count = ("200.json", 4000) if work.endswith("200") else ("10k.json", 3000)
    length = (OUT / "www" / name).stat().st_size
    arguments = [server.base(scheme), f"/{name}", count, length] + ([OUT / "cert.pem"] if scheme == "https" else [])
    return compare(work, rounds, lambda: client("get_apl", *arguments), lambda: client("get_curl", *arguments))


def downloads(work, rounds):
    scheme = work.split("-")[1]
    source = MEMORY / f"apl-bench-{os.getpid()}"
    target = MEMORY / f"apl-bench-{os.getpid()}.out"
    try:
        with open(source, "wb") as file:
            block = os.urandom(1 << 20)
            for _ in range(DOWNLOAD >> 20):
                file.write(block)
        link = OUT / "www" / "large"
        link.unlink(missing_ok=True)
        link.symlink_to(source)
        with Server(OTHER_CORE) as server:
            arguments = [server.base(scheme), "/large", target, DOWNLOAD]
            arguments += [OUT / "cert.pem"] if scheme == "https" else []
            return compare(work, rounds, lambda: client("download_apl", *arguments),
                           lambda: client("download_curl", *arguments))
    finally:
        source.unlink(missing_ok=True)
        target.unlink(missing_ok=True)


@contextlib.contextmanager
def event_server():
    """Where it is."""
    server = subprocess.Popen(["taskset", "-c", OTHER_CORE, OUT / "event_server"], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, text=True)
    try:
        yield f"http://127.0.0.1:{int(server.stdout.readline())}"
    finally:
        server.stdin.close()
        server.wait()


def quiet():
    with event_server() as base:
        percent, size, ns = client("quiet_apl", base, "/quiet", 200, 5)
    print(f"{'quiet':15} 200 streams, each asked 100 times a second: {percent:.1f} % of a core, {size / 1024:.1f} KiB "
          f"a stream, {ns:.0f} ns a question")
    return {"percent": percent, "stream": int(size), "ns": ns}


def events(work, rounds):
    bytes_, count = (10_000, 60_000) if work.endswith("10k") else (100, 1_500_000)
    path = f"/{bytes_}/{count}" + ("/crlf" if work.endswith("crlf") else "")
    with event_server() as base:
        arguments = [base, path, count, bytes_]
        return compare(work, rounds, lambda: client("sse_apl", *arguments), lambda: client("sse_curl", *arguments))


def merge(rounds):
    """A hundred pages of 926 KB, each of which names the next; against libcurl with a walker in Rust."""
    folder = OUT / "www" / "pages"
    folder.mkdir(parents=True, exist_ok=True)
    pages, n, length = 100, 0, 1
    for page in range(pages):
        items, size = [], 0
        while size < 926_000:
            items.append(json.dumps(item(n), separators=(",", ":")))
            size += len(items[-1]) + 1
            n += 1
        following = f'"/pages/{page + 1}.json"' if page + 1 < pages else "null"
        (folder / f"{page}.json").write_text(f'{{"data":[{",".join(items)}],"next":{following}}}')
        length += size
    arguments = ["/pages/0.json", 3, length]
    with Server(OTHER_CORE) as server:
        base = server.base("http")
        return compare("merge", rounds, lambda: client("merge_apl", base, *arguments),
                       lambda: client("merge_curl", base, *arguments))


def start(server, lib, rounds):
    base = server.base("http")
    row = compare("start", rounds, lambda: client("start_apl", lib / "libapl.so", base, "/200.json"),
                  lambda: client("start_curl", "libcurl.so.4", base, "/200.json"))
    times = [client("start_apl", lib / "libapl.so", base, "/200.json")[0] * 1000 for _ in range(rounds)]
    row["ms"] = round(statistics.median(times), 3)
    print(f"{'':15} load, connector and first answer: {row['ms']} ms")
    return row


def idle(server):
    row = {}
    for scheme in ("http", "https"):
        ca = [OUT / "cert.pem"] if scheme == "https" else []
        connector, connection = client("idle_apl", server.base(scheme), "/slow", 100, *ca)
        row[scheme] = {"connector": int(connector), "connection": int(connection)}
        print(f"{'idle':15} {scheme}: a connector {int(connector) / 1024:.1f} KiB, a connection {int(connection) / 1024:.1f} KiB")
    return row


def size(lib):
    stripped = OUT / "libapl.stripped.so"
    subprocess.run(["strip", "-o", stripped, lib / "libapl.so"], check=True)
    row = {"bytes": stripped.stat().st_size}
    print(f"{'size':15} {row['bytes'] / 1e6:.2f} MB, stripped")
    return row


def main():
    works = ["get-200", "get-10k", "https-get-10k", "download-http", "download-https", "sse-100",
             "sse-100-crlf", "sse-10k", "quiet", "merge", "start", "idle", "size"]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--lib", type=pathlib.Path, default=ROOT / "target" / "release")
    parser.add_argument("work", nargs="*", choices=[*works, []], metavar="WORK")
    options = parser.parse_args()
    OUT.mkdir(parents=True, exist_ok=True)
    lib = options.lib.resolve()
    build(lib)
    results = {}
    with Server(CORE) as server:
        for work in options.work or works:
            if work.startswith("download"):
                results[work] = downloads(work, options.rounds)
            elif work == "merge":
                results[work] = merge(options.rounds)
            elif work == "quiet":
                results[work] = quiet()
            elif work.startswith("sse"):
                results[work] = events(work, options.rounds)
            elif "get" in work:
                results[work] = gets(server, work, options.rounds)
            elif work == "start":
                results[work] = start(server, lib, options.rounds)
            elif work == "idle":
                results[work] = idle(server)
            else:
                results[work] = size(lib)
    (OUT / "results.json").write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
