"""Runs programs as child processes, and stops each together with its own children.

Each program leads its own process group, which is stopped as a whole. A guard process stops the group if this process
dies: it is a small shell that reads from a pipe, and only this process has the other end of that pipe.
"""

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

HOST = "127.0.0.1"
_GRACE_SECONDS = 3.0
_POLL_SECONDS = 0.02
_GUARD = """
read -r _
kill -TERM "-$1" 2>/dev/null
for _ in 1 2 3 4 5 6 7 8 9 10; do
    kill -0 "-$1" 2>/dev/null || exit 0
    sleep 0.3
done
kill -KILL "-$1" 2>/dev/null
"""


class ServerError(Exception):
    """A server ended, or did not become ready in time. The message ends with the last lines of its log."""


def free_ports(count: int) -> list[int]:
    """``count`` different ports on which nothing listens now."""
    with contextlib.ExitStack() as sockets:
        opened = [sockets.enter_context(socket.socket()) for _ in range(count)]
        for each in opened:
            each.bind((HOST, 0))
        return [each.getsockname()[1] for each in opened]


def wait_until(condition: Callable[[], bool], seconds: float, *, poll: float = _POLL_SECONDS) -> bool:
    """Check ``condition`` every ``poll`` seconds, and at least once; whether it became true within ``seconds``."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() >= end:
            return False
        time.sleep(poll)
    return True


@dataclass(frozen=True, slots=True)
class Command:
    """What to run. ``environment`` is complete: the program inherits nothing."""

    arguments: Sequence[str]
    environment: Mapping[str, str]
    folder: Path
    log: Path


@dataclass(frozen=True, slots=True)
class Server:
    """A started command."""

    command: Command
    process: subprocess.Popen[bytes]

    def wait_until(self, ready: Callable[[], bool], seconds: float = 30.0) -> None:
        """Wait until ``ready()`` is true. Raises `ServerError` if the server ends or ``seconds`` pass first."""
        if not wait_until(lambda: self.process.poll() is not None or ready(), seconds):
            raise ServerError(f"not ready after {seconds:.0f} s: {_last_lines(self.command)}")
        if self.process.poll() is not None:
            raise ServerError(f"ended with status {self.process.returncode}: {_last_lines(self.command)}")


@contextlib.contextmanager
def running(command: Command) -> Iterator[Server]:
    """Start ``command``, and stop its process group at the end of the block."""
    with contextlib.ExitStack() as cleanup:
        process = _start(command)
        cleanup.callback(stop, process)
        # The guard is stopped first: when the group is gone, another process can get its number.
        cleanup.callback(stop, _guard(process))
        yield Server(command, process)


def run(command: Command) -> int:
    """Run ``command``; its exit status. An interrupt stops its process group."""
    with running(command) as server:
        return server.process.wait()


def _start(command: Command) -> subprocess.Popen[bytes]:
    with command.log.open("ab") as log:
        return subprocess.Popen(
            list(command.arguments),
            cwd=command.folder,
            env=dict(command.environment),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _guard(process: subprocess.Popen[bytes]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        ["/bin/sh", "-c", _GUARD, "guard", str(process.pid)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def stop(process: subprocess.Popen[bytes], *, grace: float = _GRACE_SECONDS) -> None:
    """Terminate the process and its group; kill them after ``grace`` seconds. The process must lead its group."""
    _signal_group(process.pid, signal.SIGTERM)
    if not wait_until(lambda: process.poll() is not None and not _signal_group(process.pid, 0), grace):
        _signal_group(process.pid, signal.SIGKILL)
        process.wait()
    if process.stdin:
        process.stdin.close()


def _signal_group(group: int, number: int) -> bool:
    """Send a signal to a group; whether the group exists. Signal 0 only checks."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    except PermissionError:  # macOS: a group of zombies only
        return False
    return True


def _last_lines(command: Command, count: int = 20) -> str:
    lines = command.log.read_text(errors="replace").splitlines()[-count:]
    return "\n".join([" ".join(command.arguments[:4]), *lines])


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Turn SIGTERM into KeyboardInterrupt inside the block, so that the block cleans up as after Ctrl-C."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
