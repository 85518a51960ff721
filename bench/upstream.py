"""Starts, controls and stops the process of the stubs."""

import contextlib
import json
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from bench import certificates, job


class Upstream:
    """The running stubs. ``authority`` is the file of the certificate that makes clients trust them."""

    def __init__(self, process: subprocess.Popen[str], authority: Path) -> None:
        self._process = process
        self.authority = authority
        self.port = int(self._line())

    def set_round_trip(self, seconds: float) -> None:
        """Delay each answer from now on."""
        self._tell(f"round-trip {seconds}")

    def counts(self) -> dict[str, int]:
        """The calls since the last time, by `bench.answers.Operation`."""
        counts: dict[str, int] = json.loads(self._tell("counts"))
        return counts

    def floor(self, exchanges: int = 500) -> list[float]:
        """Seconds of single exchanges on one warm connection: the lower limit of every candidate.

        On a bare socket, because the time of an HTTP client would be in it.
        """
        context = ssl.create_default_context(cafile=self.authority)
        request = f"GET /{job.POOL}/.well-known/jwks.json HTTP/1.1\r\nHost: {job.COGNITO_HOST}\r\n\r\n".encode()
        seconds = []
        with (
            socket.create_connection(("127.0.0.1", self.port)) as plain,
            context.wrap_socket(plain, server_hostname=job.COGNITO_HOST) as connection,
        ):
            for _ in range(exchanges):
                start = time.perf_counter()
                connection.sendall(request)
                connection.recv(65536)
                seconds.append(time.perf_counter() - start)
        return seconds

    def _tell(self, line: str) -> str:
        assert self._process.stdin is not None  # noqa: S101 - for the type checker
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()
        return self._line()

    def _line(self) -> str:
        assert self._process.stdout is not None  # noqa: S101 - for the type checker
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit("the stubs ended")
        return line


@contextlib.contextmanager
def running(pool: job.Pool, folder: Path) -> Iterator[Upstream]:
    """Within the block the stubs of ``pool`` run, with their files in ``folder``. They also end with this process."""
    made = certificates.make(job.HOSTS)
    authority = folder / "authority.pem"
    authority.write_bytes(made.authority)
    (folder / "server.pem").write_bytes(made.server)
    (folder / "keys.json").write_bytes(pool.key_set())
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.stubs", str(folder)],
        cwd=job.ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        yield Upstream(process, authority)
    finally:
        process.kill()
        process.communicate()
