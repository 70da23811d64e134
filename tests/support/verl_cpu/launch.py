"""Run ``python -m verl.trainer.main_ppo`` on the CPU, and leave no process behind.

By hand: ``PYTHONPATH=tests python -m support.verl_cpu.launch FOLDER [OVERRIDE …]``.
"""

import subprocess
import sys
import tempfile
import time
import uuid
from contextlib import suppress
from pathlib import Path
from shutil import rmtree

import psutil

from support.verl_cpu.finished import Finished
from support.verl_cpu.settings import MARK, METRICS_MODULE, environment, overrides
from support.verl_cpu.task import save_task


def run(task, folder, changes=(), *, modules=(), seconds=240.0):
    """Run verl's trainer with a Ray of its own; end all its processes, whatever happened.

    Parameters
    ----------
    task
        What `save_task` returned.
    folder
        For what the run leaves. It may hold what an earlier run left.
    changes
        Overrides by their names on verl's command line.
    modules
        What verl is to import in every process, beside the CPU as a platform.
    seconds
        How long it may take.
    """
    folder.mkdir(parents=True, exist_ok=True)
    settings = overrides(task, folder, dict(changes))
    began = time.monotonic()
    mark = uuid.uuid4().hex
    # Short: the names of Ray's sockets may have 107 characters.
    ray_folder = tempfile.mkdtemp(prefix="ray", dir="/tmp")
    try:
        with (folder / "log.txt").open("wb") as log:
            first = psutil.Popen(
                [
                    *(sys.executable, "-m", "verl.trainer.main_ppo"),
                    *(f"{name}={value}" for name, value in settings.items()),
                ],
                cwd=folder,
                env=environment(folder, ray_folder, modules, mark),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        seen = {first}
        try:
            while first.poll() is None and time.monotonic() < began + seconds:
                seen |= _descendants(first)
                time.sleep(0.5)
            code = first.poll()
        finally:
            _end(first, seen, mark)
    finally:
        rmtree(ray_folder, ignore_errors=True)
    return Finished(folder, code, time.monotonic() - began, frozenset(seen))


def alive(process):
    """Whether a process is there, and not merely waiting to be buried."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _end(first, seen, mark):
    """Kill all that is left of a run, and wait until it is gone."""
    seen |= _descendants(first)
    if first.poll() is None:
        first.kill()
    first.wait()
    # Ray's processes follow their driver by themselves, given a moment.
    _wait(seen, 5)
    # By their mark those that started unseen; as seen those that have an environment of their own.
    seen |= _marked(mark)
    for process in filter(alive, seen):
        with suppress(psutil.NoSuchProcess):
            process.kill()
    if left := _wait(seen, 10):
        raise RuntimeError(f"these processes of a run could not be ended: {left}")


def _wait(processes, seconds):
    """Return those that are still there after so long."""
    end = time.monotonic() + seconds
    while (left := [*filter(alive, processes)]) and time.monotonic() < end:
        time.sleep(0.1)
    return left


def _descendants(process):
    try:
        return set(process.children(recursive=True))
    except psutil.NoSuchProcess:
        return set()


def _marked(mark):
    found = set()
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == mark:
                found.add(process)
        except (psutil.Error, OSError):  # gone meanwhile, or another user's
            continue
    return found


def main(place, *given):
    """Run with these overrides in a folder, and print the log."""
    folder = Path(place).resolve()
    task = folder / "task"
    if not task.exists():
        save_task(task)
    changes = dict(text.split("=", 1) for text in given)
    finished = run(task, folder / "run", changes, modules=[METRICS_MODULE])
    print(finished.log)
    print(f"exit code {finished.code} after {finished.seconds:.0f} s: {finished.folder}")


if __name__ == "__main__":
    main(*sys.argv[1:])
