"""Errors of the services in memory."""

from collections.abc import Mapping
from typing import Any


class Refused(Exception):
    """An error answer of AWS: ``code``, and ``more`` members of its body."""

    def __init__(self, code: str, message: str = "", *, more: Mapping[str, Any] | None = None) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.more = more or {}
