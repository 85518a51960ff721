"""One thing that ``doctor`` found: what it means, and what to do."""

from dataclasses import asdict, dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How much a finding matters."""

    PROBLEM = "problem"
    """Something does not work, or is not safe."""
    WARNING = "warning"
    """Something works, but may not be what the operator wants."""
    INFO = "info"
    """Nothing to do: a value that an operator may want to compare."""


@dataclass(frozen=True, slots=True)
class Finding:
    """``code`` names the kind for scripts. ``to_do`` is empty if there is nothing to do."""

    severity: Severity
    code: str
    meaning: str
    to_do: str = ""

    def as_text(self) -> str:
        """The finding for a terminal."""
        return f"{self.severity}: {self.meaning}" + (f"\n  → {self.to_do}" if self.to_do else "")

    def as_data(self) -> dict[str, str]:
        """The finding for a JSON answer."""
        return asdict(self)
