"""The base classes of errors, which say whether a retry can help."""


class Retryable(Exception):
    """The same request may succeed later: after a while, or after an operator or the other side fixes the cause.

    ``retry_after`` is the wait in whole seconds, or 0 if it is unknown.
    """

    retry_after: int = 0


class Refused(Exception):
    """A retry does not help this user. Somebody has to act first."""


class TransportError(Exception):
    """There is no usable response: not connected, timed out, dropped, or too large. ``reason`` may be logged."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
