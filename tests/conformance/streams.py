#!/usr/bin/env python3
"""Cases of streams that are watched while they run: ADAPTER FILE…, with the driver's servers (APL_CONFORMANCE_DIR/drive.py).

cases/write.py says what the cases have beside the driver's own keys."""
import copy
import json
import os
import queue
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.environ["APL_CONFORMANCE_DIR"])
import drive  # noqa: E402

# Seconds for one line to come, for one that must not come, and for the adapter to end.
PATIENCE, SILENCE, FAREWELL = 10, 0.3, 5


def is_expected(line, wanted):
    if wanted == {"error": True}:
        return set(line) == {"error"} and isinstance(line["error"], str)
    return line == wanted


def watch(case, world, adapter):
    """What is wrong with what the adapter prints; None: nothing."""
    lines = queue.Queue()

    def read():
        for line in adapter.stdout:
            lines.put(json.loads(line))
        lines.put("the end of its output")

    def tell(message):
        adapter.stdin.write(json.dumps(message).encode() + b"\n")
        adapter.stdin.flush()

    threading.Thread(target=read, daemon=True).start()
    tell({"op": case["op"], "id": case["id"], "request": world.fill(copy.deepcopy(case["request"]))})
    for number, wanted in enumerate(case["lines"], 1):
        try:
            line = lines.get(timeout=PATIENCE)
        except queue.Empty:
            return f"line {number} did not come: {wanted}"
        if not is_expected(line, wanted):
            return f"line {number} is {line}, and {wanted} is expected"
        for command in case["commands"]:
            if command["after"] == number:
                tell({"cmd": command["cmd"]})
    try:
        return f"one line too many: {lines.get(timeout=SILENCE)}"
    except queue.Empty:
        pass
    adapter.stdin.close()
    status = adapter.wait(FAREWELL)
    if status:
        return f"the adapter ended with {status}"
    last = lines.get(timeout=FAREWELL)
    return None if isinstance(last, str) else f"one line too many at the end: {last}"


def run(case, program):
    world, begun = drive.World(case), time.monotonic()
    with subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as adapter:
        try:
            fault = watch(case, world, adapter)
            return [fault] if fault else drive.judge(case, world, {}, time.monotonic() - begun)
        except (OSError, ValueError, subprocess.TimeoutExpired) as error:
            return [f"{type(error).__name__}: {error}"]
        finally:
            adapter.kill()
            world.shut()


def main():
    program, *files = sys.argv[1:]
    passed = failed = 0
    for file in files:
        with open(file, encoding="utf-8") as text:
            cases = json.load(text)["cases"]
        for case in cases:
            faults = run(case, program)
            passed, failed = passed + (not faults), failed + bool(faults)
            if faults:
                print(f"FAIL {case['id']} ({case['title']}): {'; '.join(faults)}", flush=True)
    print(f"streams: {passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
