"""The functions, and what Lambda hands to them."""

import gc
import importlib.util
import json
import uuid
from dataclasses import dataclass
from types import ModuleType
from typing import Any
from unittest import mock

from tests.fakes.source_tree import ROOT


def event(name: str) -> dict[str, Any]:
    """One of the events of `events/`, as often as wanted."""
    loaded: dict[str, Any] = json.loads((ROOT / "events" / f"{name}.json").read_text())
    return loaded


def load_function(name: str) -> ModuleType:
    """`functions/<name>/app.py`, loaded again as Lambda does at a cold start; what was loaded before stays garbage."""
    path = ROOT / "functions" / name / "app.py"
    spec = importlib.util.spec_from_file_location(f"{name}_{uuid.uuid4().hex}", path)
    if spec is None or spec.loader is None:
        raise AssertionError(path)
    module = importlib.util.module_from_spec(spec)
    with mock.patch.object(gc, "freeze"):
        spec.loader.exec_module(module)
    return module


@dataclass
class Context:
    """What Lambda hands to a handler besides the event."""

    aws_request_id: str = "request-1"
    remaining_millis: int = 10_000

    def get_remaining_time_in_millis(self) -> int:
        return self.remaining_millis
