"""One execution environment of a candidate: a process, its answers, and what it cost."""

import contextlib
import re
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from bench.candidates import Candidate
from bench.runtime_api import CandidateFailedError, RuntimeApi

_LOG_TAIL = 3000


@dataclass(frozen=True, slots=True)
class FirstAnswer:
    """Seconds from the start of the process to its first answer, and what it had cost by then."""

    seconds: float
    init_seconds: float
    """Seconds until it asked for the first event."""
    cpu_seconds: float
    peak_mib: float


class Instance:
    """A started candidate."""

    def __init__(self, candidate: Candidate, log: IO[bytes], flags: Sequence[str] = ()) -> None:
        self._candidate = candidate
        self._log = log
        self._api = RuntimeApi(lambda: self._process.poll() is None)
        program, *arguments = candidate.command
        self._started = time.perf_counter()
        self._process = subprocess.Popen(
            [program, *flags, *arguments],
            cwd=candidate.folder,
            env={**candidate.environment, "AWS_LAMBDA_RUNTIME_API": self._api.address},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )

    @property
    def process_id(self) -> int:
        """The id of the candidate's process."""
        return self._process.pid

    def start_up(self) -> float:
        """Wait until it asks for the first event. Returns the seconds since its start."""
        with self._explained():
            self._api.wait_until_idle()
        return time.perf_counter() - self._started

    def first_answer(self, event: bytes) -> FirstAnswer:
        """Hand over the first event as soon as the process asks for one."""
        init = self.start_up()
        with self._explained():
            answer, seconds = self._api.invoke(event)
            first = FirstAnswer(init + seconds, init, self.cpu_seconds(), self.peak_mib())
            self._check(event, answer)
        return first

    def invoke(self, event: bytes) -> float:
        """Hand over one event, and wait until the process is idle again. Returns the seconds to the answer."""
        with self._explained():
            answer, seconds = self._api.invoke(event)
            self._check(event, answer)
            self._api.wait_until_idle()
        return seconds

    def cpu_seconds(self) -> float:
        """CPU time of all its threads since the start."""
        # The clock of another process, as glibc's clock_getcpuclockid(3) makes it; /proc counts in steps of 10 ms.
        return time.clock_gettime((~self._process.pid << 3) | 2)

    def peak_mib(self) -> float:
        """The highest resident memory so far."""
        found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{self._process.pid}/status").read_text())
        if found is None:
            raise CandidateFailedError("the process ended")
        return int(found[1]) / 1024

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        self._api.close()

    def _check(self, event: bytes, answer: bytes) -> None:
        if not self._candidate.right(event, answer):
            raise CandidateFailedError(f"a wrong answer: {answer.decode(errors='replace')}")

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn an error into an exit with the name of the candidate and the end of its log."""
        try:
            yield
        except (CandidateFailedError, OSError, ValueError, KeyError) as error:
            self._log.seek(0)
            tail = self._log.read()[-_LOG_TAIL:].decode(errors="replace")
            raise SystemExit(f"{self._candidate.name} failed: {error}\n{tail}") from None


@contextlib.contextmanager
def started(candidate: Candidate, log: Path, flags: Sequence[str] = ()) -> Iterator[Instance]:
    """Within the block a process of ``candidate`` runs. ``flags`` are for its interpreter; ``log`` gets its output."""
    with log.open("w+b") as stream:
        instance = Instance(candidate, stream, flags)
        try:
            yield instance
        finally:
            instance.close()
