"""What a command came to."""

import json
from dataclasses import dataclass
from typing import Any


@dataclass
class Run:
    """What a command came to."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Its answer, when it was asked for JSON."""
        return json.loads(self.out)
