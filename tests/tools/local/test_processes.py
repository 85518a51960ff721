"""Servers as child processes: none is left, however the run ends."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from local.processes import Command, ServerError, free_ports, interruptible, running, stop, wait_until

_ROOT = Path(__file__).resolve().parents[3]
# Starts a process of its own, says so, and stays.
_PARENT = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print(child.pid, flush=True)
time.sleep(60)
"""
_DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"


def _command(folder: Path, source: str) -> Command:
    return Command([sys.executable, "-c", source], {"PATH": os.defpath}, folder=folder, log=folder / "server.log")


def _alive(pid: int) -> bool:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat")
        return not (state.exists() and state.read_text().rsplit(")", 1)[1].split()[0] == "Z")
    return False


def _first_line(log: Path) -> str:
    assert wait_until(lambda: log.exists() and log.read_text().endswith("\n"), 10)
    return log.read_text().splitlines()[0]


def test_free_ports_are_different() -> None:
    assert len(set(free_ports(20))) == 20


def test_a_condition_is_asked_at_least_once() -> None:
    assert wait_until(lambda: True, 0)
    assert not wait_until(lambda: False, 0)


def test_leaving_the_block_stops_the_server_and_what_it_started(tmp_path: Path) -> None:
    with running(_command(tmp_path, _PARENT)) as server:
        server.wait_until(lambda: (tmp_path / "server.log").read_text() != "", 10)
        child = int(_first_line(tmp_path / "server.log"))
        assert _alive(server.process.pid)
        assert _alive(child)
    assert not _alive(server.process.pid)
    assert not _alive(child)


def test_an_error_in_the_block_stops_the_server_too(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), running(_command(tmp_path, _PARENT)) as server:
        _ = 1 / 0
    assert not _alive(server.process.pid)


def test_a_server_that_ends_is_reported_with_its_last_lines(tmp_path: Path) -> None:
    source = "import sys; sys.exit('the port is taken')"
    with running(_command(tmp_path, source)) as server, pytest.raises(ServerError, match="the port is taken"):
        server.wait_until(lambda: False, 10)


def test_a_server_that_does_not_get_ready_is_reported(tmp_path: Path) -> None:
    with running(_command(tmp_path, _PARENT)) as server, pytest.raises(ServerError, match="not ready after 0 s"):
        server.wait_until(lambda: False, 0)


def test_a_server_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    with running(_command(tmp_path, _DEAF)) as server:
        assert _first_line(tmp_path / "server.log") == "deaf"
        stop(server.process, grace=0.1)
        assert not _alive(server.process.pid)


def test_a_server_does_not_outlive_a_killed_run(tmp_path: Path) -> None:
    run = (
        "import os, sys, time; from pathlib import Path; from local.processes import Command, running\n"
        f"command = Command([sys.executable, '-c', {_PARENT!r}], dict(PATH=os.defpath), Path({str(tmp_path)!r}),"
        f" Path({str(tmp_path)!r}, 'server.log'))\n"
        "with running(command) as server: print(server.process.pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", run], cwd=_ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        server = int(process.stdout.readline())
        child = int(_first_line(tmp_path / "server.log"))
        process.send_signal(signal.SIGKILL)
    assert wait_until(lambda: not _alive(server) and not _alive(child), 10)


def test_sigterm_ends_the_block_like_ctrl_c() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), interruptible():
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before
