"""The Whop API key. It is read from Secrets Manager, cached, and read again when Whop refuses it."""

import json
import time
from collections.abc import Callable, Mapping
from typing import Any

from whop_chat.runtime.aws_session import AwsClients
from whop_chat.runtime.errors import Retryable
from whop_chat.runtime.secrets import CachedSecret


class NotConfigured(Retryable):
    """The secret has no usable value: the operator has not put the Whop API key into it."""


class ApiKey(CachedSecret[str]):
    """The key under ``secret_arn``. The secret is the key itself, or a JSON object with ``api_key``.

    White space around either is ignored. Without a usable key, `current` and `after_refusal` raise `NotConfigured`.
    """

    def __init__(self, aws: AwsClients, secret_arn: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(aws, secret_arn, _api_key, clock=clock)


def _api_key(answer: Mapping[str, Any]) -> str:
    secret = answer.get("SecretString")
    if not isinstance(secret, str):
        raise NotConfigured("the secret has no text")
    return key_in(secret)


def key_in(secret: str) -> str:
    """The key in the text of a secret. `NotConfigured` says why there is none, and repeats no part of it."""
    text = _trimmed(secret)
    if text.startswith("{"):
        text = _trimmed(_member(text))
    if not text:
        raise NotConfigured("the key is empty")
    if any(character.isspace() for character in text):
        raise NotConfigured("the key has a space or a line break inside")
    if text[0] in "\"'" or text[-1] in "\"'":
        raise NotConfigured("the key has quotation marks around it")
    # A header value must be visible ASCII (RFC 9110, section 5.5).
    if not all("!" <= character <= "~" for character in text):
        raise NotConfigured("the key has a character that is not visible ASCII")
    return text


def _trimmed(text: str) -> str:
    """``text`` without what editors put around it: white space, and the byte order mark of a file of Windows."""
    return text.strip().removeprefix("\ufeff").strip()


def _member(secret: str) -> str:
    """``api_key`` of the JSON object. Raises `NotConfigured`."""
    try:
        document = json.loads(secret)
    except (ValueError, RecursionError):
        document = None
    # Raised outside the handler: the decoder's exception has the whole secret, and would be the context of this one.
    if document is None:
        raise NotConfigured("the secret begins with { but is not JSON")
    if "api_key" not in document:
        raise NotConfigured('the secret is a JSON object without "api_key"')
    member = document["api_key"]
    if not isinstance(member, str):
        raise NotConfigured('"api_key" is not text')
    return member
