"""How this package calls AWS: short timeouts, one retry, and one exception instead of the SDK's two families."""

from collections.abc import Callable

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError


class AwsError(Exception):
    """An AWS call failed; ``code`` is AWS's error code, or the SDK's exception name if AWS never answered.

    AWS's message is left out: it can repeat a parameter, and a parameter can be a user name.
    """

    def __init__(self, code: str, *, operation: str = "AWS") -> None:
        super().__init__(f"{operation}: {code}")
        self.code = code


def sdk_config(*, read_seconds: float = 1.0) -> Config:
    """Two attempts, each with half a second to connect and ``read_seconds`` for each read."""
    retries = {"total_max_attempts": 2, "mode": "standard"}
    return Config(connect_timeout=0.5, read_timeout=read_seconds, retries=retries)  # type: ignore[arg-type]


def call[**P, T](operation: Callable[P, T], *args: P.args, **params: P.kwargs) -> T:
    """``operation(**params)``; raises `AwsError`."""
    try:
        return operation(*args, **params)
    except ClientError as error:
        raise AwsError(error.response.get("Error", {}).get("Code", "Unknown"), operation=error.operation_name) from None
    except BotoCoreError as error:
        raise AwsError(type(error).__name__, operation=getattr(operation, "__name__", "AWS")) from None
