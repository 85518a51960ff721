"""What matters about an error to whoever meets it: whether trying again later can help."""


class Retryable(Exception):
    """The same request may succeed later: time, an operator or the other side puts it right.

    ``retry_after`` is the wait in whole seconds, as far as it is known; 0 if it is not.
    """

    retry_after: int = 0


class Refused(Exception):
    """Trying again does not help this user; somebody has to act first."""


class TransportError(Exception):
    """No usable response: not connected, timed out, dropped, or larger than the cap. ``reason`` is fit for a log."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
