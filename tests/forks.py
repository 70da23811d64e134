"""Programs that do not wait for their imports: a server makes them once and forks for each.

A fork is a process of its own, with its exit code, output and signals. A script that is to be
forked ends in ``forks.serve(main)`` after its imports; a test starts it with `Server`. This file
is the script of ``fgrpo``, its words the modules to import: see `fgrpo_server`.
"""

import gc
import importlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path


class Server:
    """Starts forks of a script; use it in a ``with`` statement, which leaves none running."""

    def __init__(self, script, *words, environment):
        self._running = set()
        self._process = subprocess.Popen(
            [sys.executable, script, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for fork in list(self._running):
            fork.signal(signal.SIGKILL)
            fork.wait()
        self._process.stdin.close()
        self._process.wait(timeout=60)
        self._process.stdout.close()

    def ask(self, **request):
        print(json.dumps(request), file=self._process.stdin, flush=True)
        return json.loads(self._process.stdout.readline())

    def start(self, *words, folder, environment=None, said=None):
        """Start a fork in ``folder``; what it says goes to ``said.out`` and ``said.err``."""
        fork = Fork(self, words, folder, environment or {}, said or folder / "said")
        self._running.add(fork)
        return fork

    def run(self, *words, **how):
        """Start a fork and wait for its end."""
        return self.start(*words, **how).wait()

    def done(self, fork):
        self._running.discard(fork)


class Fork:
    """One program: ``code``, ``out`` and ``err`` once it has ended."""

    def __init__(self, server, words, folder, environment, said):
        self._server = server
        self._out, self._err = (Path(f"{said}.{which}") for which in ("out", "err"))
        self.code = None
        self.pid = server.ask(
            words=list(map(str, words)),
            folder=str(folder),
            out=str(self._out),
            err=str(self._err),
            environment=environment,
        )

    def poll(self):
        """Return the exit code, None while it runs; a code below 0 is a signal's."""
        if self.code is None:
            self.code = self._server.ask(poll=self.pid)
            if self.code is not None:
                self._server.done(self)
        return self.code

    def wait(self, seconds=300):
        """Wait for the end."""
        end = time.monotonic() + seconds
        while self.poll() is None:
            assert time.monotonic() < end, f"not ended after {seconds} s: {self.err}"
            time.sleep(0.005)
        return self

    def signal(self, number):
        os.kill(self.pid, number)

    def until(self, path, seconds=60):
        """Wait for a file."""
        end = time.monotonic() + seconds
        while not path.exists():
            assert time.monotonic() < end, f"{path} never came: {self.err}"
            time.sleep(0.005)

    @property
    def out(self):
        return self._out.read_text(encoding="utf-8")

    @property
    def err(self):
        return self._err.read_text(encoding="utf-8")


def serve(main):
    """Fork for every request on the standard input, and be ``main`` there."""
    # The forks would else each search what the imports left for garbage, and copy its pages.
    gc.collect()
    gc.freeze()
    for line in sys.stdin:
        request = json.loads(line)
        if "poll" in request:
            pid, status = os.waitpid(request["poll"], os.WNOHANG)
            answer = os.waitstatus_to_exitcode(status) if pid else None
        elif not (answer := os.fork()):
            _become(request)
            main()
            sys.exit(0)
        print(json.dumps(answer), flush=True)


def _become(request):
    """Take on folder, files and words of a program."""
    os.chdir(request["folder"])
    os.environ.update(request["environment"])
    for name, number in (("/dev/null", 0), (request["out"], 1), (request["err"], 2)):
        file = os.open(name, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, number)
    sys.argv = [sys.argv[0], *request["words"]]
    signal.signal(signal.SIGINT, signal.default_int_handler)


def fgrpo_server(*modules, environment):
    """Return a server of the command ``fgrpo`` that imports modules before it is asked to fork."""
    return Server(__file__, "fgrpo.cli", *modules, environment=environment)


if __name__ == "__main__":
    _cli, *_ = map(importlib.import_module, sys.argv[1:])
    sys.argv[0] = "fgrpo"
    serve(_cli.main)
