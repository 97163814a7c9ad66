"""Runs a program and holds what it printed against what a page says."""
import difflib
import os
import re
import signal
import subprocess
import termios
import threading

# Seconds.
PATIENCE = 60


def run(command, folder, environment):
    """Its exit status, and what it printed. On a terminal, for standard output and standard error to keep their order."""
    ours, its = os.openpty()
    settings = termios.tcgetattr(its)
    settings[1] &= ~termios.OPOST
    settings[3] &= ~termios.ECHO
    termios.tcsetattr(its, termios.TCSANOW, settings)
    process = subprocess.Popen(command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=its, stderr=its,
                               start_new_session=True)
    os.close(its)
    # Itself and what it has started.
    clock = threading.Timer(PATIENCE, os.killpg, (process.pid, signal.SIGKILL))
    clock.start()
    printed = b""
    try:
        # A terminal whose other end is closed is an error on Linux.
        while piece := os.read(ours, 65536):
            printed += piece
    except OSError:
        pass
    finally:
        os.close(ours)
    status = process.wait()
    clock.cancel()
    return status, printed.decode(errors="replace")


def matches(said, printed):
    """Is it that? `…` stands for anything within a line, and alone for any lines."""
    parts = [".*?" if line == "…\n" else re.escape(line).replace("…", "[^\n]*?") for line in said.splitlines(True)]
    return re.fullmatch("".join(parts), printed, re.DOTALL) is not None


def difference(said, printed):
    lines = difflib.unified_diff(said.splitlines(), printed.splitlines(), "the page", "the program", lineterm="")
    return "\n".join(lines)
