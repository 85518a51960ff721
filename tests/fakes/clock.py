"""A clock of the test."""


class Clock:
    """A clock that moves only when it is told to; `advance` serves as a sleep that takes no time."""

    def __init__(self, now: float = 1_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds
