"""Each layer holds on its own, so that losing one does not lose all."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from processes import listing

from fgrpo.verify import VerifierPool, landlock
from fgrpo.verify.isolation import KERNEL_LAYERS, LAYERS

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

# Runs in a fresh process: one layer, then what is tried; prints what the try printed or raised.
PREAMBLE = """
import ctypes, fcntl, os, resource, signal, socket, subprocess, sys, threading
from pathlib import Path
from fgrpo.verify import isolation, kernel, landlock, seccomp
def ordinary_user():
    if os.getuid() == 0:
        os.setgroups([]); os.setgid(65534); os.setuid(65534)
libc = ctypes.CDLL(None, use_errno=True)
"""
SECCOMP = "kernel.gain_no_privileges(); seccomp.restrict()"
NAMESPACES = "kernel.leave_namespaces()"
LANDLOCK = (
    "rules = landlock.prepare([sys.prefix, sys.base_prefix, '/usr/lib', '/lib', FOLDER]);"
    "kernel.gain_no_privileges(); landlock.restrict(rules)"
)


def attempt(
    layer: str, act: str, folder: Path | str = "", *, ordinary: bool = False
) -> subprocess.CompletedProcess[str]:
    user = "ordinary_user()" if ordinary else ""
    code = (
        f"{PREAMBLE}\nFOLDER = {str(folder)!r}\n{user}\n{layer}\n"
        f"try:\n    {act}\nexcept BaseException as error:\n    print(type(error).__name__)\n"
        "else:\n    print('done')\n"
        "sys.stdout.flush(); os._exit(0)"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False,
        timeout=20,
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    return done


def need(pool: VerifierPool, layer: str) -> None:
    if pool.layers()[layer] != "active":
        pytest.skip(f"{layer}: {pool.layers()[layer]}")


def test_layers_are_reported(pool: VerifierPool) -> None:
    layers = pool.layers()
    assert tuple(layers) == LAYERS
    assert layers["audit hook"] == "active"
    assert layers["limits"] == "active"


# --- seccomp ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "act",
    [
        "os.fork()",
        "libc.fork()",
        "libc.vfork()",
        "threading.Thread(target=print).start()",
        "subprocess.run(['true'])",
        "os.execv('/bin/true', ['true'])",
        "socket.socket()",
        "socket.socketpair()",
        "open(FOLDER + '/new', 'w')",
        "open(FOLDER + '/old', 'a')",
        "os.open(FOLDER + '/old', os.O_RDWR)",
        "libc.creat((FOLDER + '/new').encode(), 0o644)",
        "libc.open((FOLDER + '/new').encode(), os.O_WRONLY | os.O_CREAT, 0o644)",
        "libc.truncate((FOLDER + '/old').encode(), 0)",
        "os.unlink(FOLDER + '/old')",
        "os.rename(FOLDER + '/old', FOLDER + '/new')",
        "os.link(FOLDER + '/old', FOLDER + '/new')",
        "os.symlink(FOLDER + '/old', FOLDER + '/new')",
        "os.mkdir(FOLDER + '/new')",
        "os.mkfifo(FOLDER + '/new')",
        "os.chmod(FOLDER + '/old', 0)",
        "os.utime(FOLDER + '/old')",
        "os.setxattr(FOLDER + '/old', 'user.a', b'')",
        "os.kill(os.getppid(), 0)",
        "os.kill(-1, 0)",
        "os.kill(0, 0)",
        "os.setsid()",
        "os.setpgid(0, 0)",
        "os.setpriority(os.PRIO_PROCESS, 0, 5)",
        "resource.prlimit(os.getppid(), resource.RLIMIT_CPU)",
        "kernel.leave_namespaces()",
        "os.memfd_create('a')",
        "libc.ptrace(16, os.getppid(), 0, 0)",
        "libc.syscall(0x40000000 + 57)",  # fork in the second table of x86-64
        # Signals by way of a descriptor's owner; leases, locks; flags that the next worker shares.
        "fcntl.fcntl(0, fcntl.F_SETOWN, os.getppid())",
        "fcntl.fcntl(0, 10, 9)",
        "fcntl.fcntl(os.open(FOLDER + '/old', os.O_RDONLY), fcntl.F_SETLEASE, fcntl.F_RDLCK)",
        "fcntl.lockf(os.open(FOLDER + '/old', os.O_RDONLY), fcntl.LOCK_SH)",
        "fcntl.flock(os.open(FOLDER + '/old', os.O_RDONLY), fcntl.LOCK_EX)",
        "fcntl.fcntl(0, fcntl.F_SETFL, os.O_NONBLOCK)",
        "libc.shmat(0, 0, 0)",
        "libc.semctl(0, 0, 0)",
        "libc.msgctl(0, 0, 0)",
        "libc.mq_unlink(b'/none')",
        "os.sync()",
    ],
)
def test_seccomp_ends_the_process(pool: VerifierPool, tmp_path: Path, act: str) -> None:
    need(pool, "seccomp")
    (tmp_path / "old").write_text("before")
    done = attempt(SECCOMP, act, tmp_path)
    assert done.returncode == -signal.SIGSYS, (act, done.stdout)
    assert listing(tmp_path) == ["old"]
    assert (tmp_path / "old").read_text() == "before"


@pytest.mark.parametrize(
    ("act", "error"),
    [
        # Attributes of a file can be read and changed through a descriptor for reading.
        ("fcntl.ioctl(os.open(FOLDER + '/old', os.O_RDONLY), 0x80086601, bytes(8))", "OSError"),
        ("os.set_blocking(0, False)", "OSError"),
        ("kernel.end_with_parent(0)", "PermissionError"),
        ("kernel.syscall(4000)", "OSError"),
    ],
)
def test_seccomp_lets_a_call_fail(pool: VerifierPool, tmp_path: Path, act: str, error: str) -> None:
    need(pool, "seccomp")
    (tmp_path / "old").write_text("before")
    assert attempt(SECCOMP, act, tmp_path).stdout == f"{error}\n"


@pytest.mark.parametrize(
    "act",
    [
        "open(FOLDER + '/old').read()",
        "os.listdir(FOLDER)",
        "os.isatty(0)",
        "os.dup(0)",
        "os.set_inheritable(0, True)",
        "import decimal, sqlite3",
        "os.kill(os.getpid(), 0)",
        "signal.setitimer(signal.ITIMER_REAL, 5)",
        "resource.setrlimit(resource.RLIMIT_CPU, (99, 100))",
        "bytes(10**8)",
    ],
)
def test_seccomp_leaves_what_verifiers_need(pool: VerifierPool, tmp_path: Path, act: str) -> None:
    need(pool, "seccomp")
    (tmp_path / "old").write_text("before")
    assert attempt(SECCOMP, act, tmp_path).stdout == "done\n"


def test_seccomp_lets_a_process_abort_itself(pool: VerifierPool) -> None:
    need(pool, "seccomp")
    assert attempt(SECCOMP, "os.abort()").returncode == -signal.SIGABRT


# --- Landlock -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "act",
    [
        "open(FOLDER + '/new', 'w')",
        "open(FOLDER + '/old', 'r+')",
        "os.unlink(FOLDER + '/old')",
        "os.mkdir(FOLDER + '/new')",
        "os.rename(FOLDER + '/old', FOLDER + '/new')",
        "open('/etc/passwd').read()",
        "os.listdir('/')",
        "os.listdir(FOLDER + '/..')",
        "open('/proc/self/environ').read()",
        "os.execv('/bin/true', ['true'])",
        "os.execv(sys.executable, [sys.executable, '-V'])",
    ],
)
def test_landlock_refuses(pool: VerifierPool, tmp_path: Path, act: str) -> None:
    need(pool, "landlock")
    (tmp_path / "old").write_text("before")
    assert attempt(LANDLOCK, act, tmp_path).stdout == "PermissionError\n"
    assert listing(tmp_path) == ["old"]
    assert (tmp_path / "old").read_text() == "before"


@pytest.mark.parametrize("act", ["open(FOLDER + '/old').read()", "import sqlite3, decimal"])
def test_landlock_lets_read_what_was_named(pool: VerifierPool, tmp_path: Path, act: str) -> None:
    need(pool, "landlock")
    (tmp_path / "old").write_text("before")
    assert attempt(LANDLOCK, act, tmp_path).stdout == "done\n"


def test_landlock_refuses_signals_and_connections(pool: VerifierPool) -> None:
    need(pool, "landlock")
    version = int(attempt("", "print(kernel.syscall(444, None, 0, 1))").stdout.split()[0])
    with socket.create_server(("127.0.0.1", 0)) as server:
        connect = f"socket.create_connection(('127.0.0.1', {server.getsockname()[1]}))"
        if version >= 4:
            assert attempt(LANDLOCK, connect).stdout == "PermissionError\n"
        assert attempt("", connect).stdout == "done\n"
    if version >= 6:
        assert attempt(LANDLOCK, "os.kill(os.getppid(), 0)").stdout == "PermissionError\n"


def test_landlock_passes_over_places_that_do_not_exist() -> None:
    try:
        os.close(landlock.prepare(["/no/such/folder", "/etc/passwd/below", "/etc/passwd", "/usr"]))
    except OSError as error:
        pytest.skip(str(error))


# --- namespaces, privileges and limits ----------------------------------------------------------


@pytest.mark.parametrize("layer", ["", NAMESPACES])
def test_root_keeps_no_rights_over_others(pool: VerifierPool, layer: str) -> None:
    need(pool, "namespaces" if layer else "no new privileges")
    said = (
        "print(*[line for line in open('/proc/self/status') if line[:6] in ('CapEff', 'CapPrm')])"
    )
    given_up = attempt(f"{layer}\nkernel.gain_no_privileges()", said).stdout
    assert given_up.split()[1:4:2] == ["0" * 16] * 2
    if layer or os.getuid() == 0:
        assert attempt(layer, said).stdout.split()[1:4:2] != ["0" * 16] * 2


@pytest.mark.parametrize("ordinary", [False, True])
def test_namespaces_leave_no_network(pool: VerifierPool, ordinary: bool) -> None:
    need(pool, "namespaces")
    with socket.create_server(("127.0.0.1", 0)) as server:
        act = f"socket.socket().connect(('127.0.0.1', {server.getsockname()[1]}))"
        assert attempt(NAMESPACES, act, ordinary=ordinary).stdout == "OSError\n"
        assert attempt("", act, ordinary=ordinary).stdout == "done\n"


def test_namespaces_hide_others_environment(pool: VerifierPool) -> None:
    need(pool, "namespaces")
    act = "open(f'/proc/{os.getppid()}/environ').read()"
    assert attempt(NAMESPACES, act).stdout == "PermissionError\n"
    assert attempt("", act).stdout == "done\n"


@pytest.mark.parametrize(
    ("act", "said"),
    [
        ("open(FOLDER + '/new', 'w').write('x' * 10**6)", "OSError"),
        ("[open('/dev/null') for _ in range(64)]", "OSError"),
        ("bytearray(1 << 30)", "MemoryError"),
        ("bytearray(1 << 24)", "done"),
    ],
)
def test_limits(tmp_path: Path, act: str, said: str) -> None:
    layer = "isolation._limit(isolation.address_space()() + (1 << 28))"
    assert attempt(layer, act, tmp_path).stdout == f"{said}\n"


def test_limits_stop_an_ordinary_users_forks() -> None:
    layer = "isolation._limit(1 << 40)"
    assert attempt(layer, "os.fork()", ordinary=True).stdout == "BlockingIOError\n"


@pytest.mark.parametrize("ordinary", [False, True])
def test_all_layers_together(pool: VerifierPool, ordinary: bool) -> None:
    layer = "print(isolation.apply(1 << 40, isolation.prepare()))"
    said = attempt(layer, "pass", ordinary=ordinary).stdout
    expected = {name: pool.layers()[name] for name in KERNEL_LAYERS}
    assert said == f"{expected}\ndone\n"


def test_a_layer_that_is_missing_is_named_and_the_others_hold(pool: VerifierPool) -> None:
    need(pool, "seccomp")
    layer = (
        "def refuse(): raise PermissionError(1, 'refused here')\n"
        "kernel.leave_namespaces = refuse\n"
        "layers = isolation.apply(1 << 40, None)\n"
        "print(layers['namespaces'], '|', layers['landlock'])"
    )
    done = attempt(layer, "socket.socket()")
    assert done.returncode == -signal.SIGSYS
    done = attempt(layer, "pass")
    assert done.stdout.splitlines()[0] == ("[Errno 1] refused here | the kernel has no Landlock")


def test_another_system_has_limits_only() -> None:
    layer = (
        "sys.platform = 'darwin'\n"
        "rules = isolation.prepare()\n"
        "print(rules, sorted(isolation.apply(1 << 40, rules).items()))"
    )
    said = attempt(layer, "os.fork()").stdout
    assert said.startswith("None [('landlock', 'the kernel has no Landlock'), ('limits', 'active')")
    assert said.count("Linux only") == 3
    # Parent and child write at once, so that their lines may mix.
    assert said.partition("\n")[2].replace("\n", "") in ("done", "donedone")


# --- the audit hook -----------------------------------------------------------------------------

HOOK = "isolation.refuse(lambda what: (print(what, flush=True), os._exit(9)))"


@pytest.mark.parametrize(
    ("act", "event"),
    [
        ("os.fork()", "os.fork"),
        ("os.posix_spawn('/bin/true', ['true'], {})", "os.posix_spawn"),
        ("os.execv('/bin/true', ['true'])", "os.exec"),
        ("os.system('true')", "os.system"),
        ("subprocess.run(['true'])", "subprocess.Popen"),
        ("__import__('pty').spawn('true')", "pty.spawn"),
        ("socket.socket()", "socket.__new__"),
        ("socket.getaddrinfo('localhost', 80)", "socket.getaddrinfo"),
        ("open(FOLDER + '/new', 'w')", "open for writing"),
        ("open(FOLDER + '/new', 'x')", "open for writing"),
        ("os.open(FOLDER + '/new', os.O_CREAT)", "open for writing"),
        ("Path(FOLDER, 'new').touch()", "os.utime"),
        ("Path(FOLDER, 'old').unlink()", "os.remove"),
        ("os.rename(FOLDER + '/old', FOLDER + '/new')", "os.rename"),
        ("__import__('shutil').rmtree(FOLDER)", "os.remove"),
        ("os.truncate(FOLDER + '/old', 0)", "os.truncate"),
        ("os.symlink('a', FOLDER + '/new')", "os.symlink"),
        ("os.kill(os.getppid(), 9)", "os.kill"),
        ("libc.getpid", "ctypes.dlsym"),
        ("ctypes.string_at(0)", "ctypes.string_at"),
        ("__import__('gc').get_objects()", "gc.get_objects"),
        ("__import__('sqlite3').connect(':memory:')", "sqlite3.connect"),
    ],
)
def test_audit_hook_ends_the_process_and_says_why(tmp_path: Path, act: str, event: str) -> None:
    (tmp_path / "old").write_text("before")
    done = attempt(HOOK, act, tmp_path)
    assert (done.returncode, done.stdout) == (9, f"{event}\n")
    assert listing(tmp_path) == ["old"]
    assert (tmp_path / "old").read_text() == "before"


def test_audit_hook_ends_the_process_even_if_it_cannot_say_why() -> None:
    assert attempt("isolation.refuse(lambda what: 1 / 0)", "os.fork()").returncode == 1
    assert attempt("isolation.refuse(lambda what: None)", "os.fork()").returncode == 1


@pytest.mark.parametrize(
    "act", ["open(FOLDER + '/old').read()", "import sqlite3", "eval('1 + 1')", "os.listdir(FOLDER)"]
)
def test_audit_hook_leaves_what_verifiers_need(tmp_path: Path, act: str) -> None:
    (tmp_path / "old").write_text("before")
    assert attempt(HOOK, act, tmp_path).stdout == "done\n"
