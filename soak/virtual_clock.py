"""Replaces the clock of the whole package by the scheduler's, in one place.

Most classes take their clock as an argument whose default is the real one. During a run these defaults are the
scheduler's clock, and so is the module ``time`` of each module. Random numbers and threads are the scheduler's too.
"""

import importlib
import pkgutil
import random
import secrets
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import FunctionType, ModuleType, SimpleNamespace
from typing import Any
from unittest.mock import patch

import whop_chat
from soak.scheduler import Scheduler
from soak.threads import Threads

# The clock is replaced in modules that are loaded, so all of them have to be.
for _module in pkgutil.walk_packages(whop_chat.__path__, "whop_chat."):
    importlib.import_module(_module.name)


@contextmanager
def virtual_time(scheduler: Scheduler) -> Iterator[None]:
    """Within the block the whole package uses the clock, the random numbers and the threads of ``scheduler``."""
    clock = SimpleNamespace(
        time=scheduler.time,
        monotonic=scheduler.time,
        perf_counter=scheduler.time,
        sleep=scheduler.sleep,
        gmtime=time.gmtime,
        strftime=time.strftime,
    )
    replacements = {
        id(time.time): scheduler.time,
        id(time.monotonic): scheduler.time,
        id(time.sleep): scheduler.sleep,
        id(random.random): scheduler.chance.random,
    }

    def token_hex(size: int) -> str:
        return scheduler.chance.randbytes(size).hex()

    replaced_modules = (
        ("time", time, clock),
        ("random", random, scheduler.chance),
        ("threading", threading, Threads(scheduler)),
        # The id of a run of reconcile is part of a key, and the keys decide where a page of a scan ends.
        ("secrets", secrets, SimpleNamespace(token_hex=token_hex, token_urlsafe=token_hex)),
    )
    with ExitStack() as undo:
        # Some functions import `random` only when they need it.
        undo.enter_context(patch.object(random, "uniform", scheduler.chance.uniform))
        for module in _modules():
            for name, real, replacement in replaced_modules:
                if vars(module).get(name) is real:
                    undo.enter_context(patch.object(module, name, replacement))
            for function in _functions(module):
                defaults = {name: replacements.get(id(value), value) for name, value in _defaults(function).items()}
                undo.enter_context(patch.object(function, "__kwdefaults__", defaults))
        yield


def _modules() -> list[ModuleType]:
    return [module for name, module in sys.modules.items() if name.startswith("whop_chat.")]


def _functions(module: ModuleType) -> Iterator[FunctionType]:
    """Functions and methods with a default for a keyword-only argument."""
    for value in vars(module).values():
        if getattr(value, "__module__", None) != module.__name__:
            continue
        for member in (value, *(vars(value).values() if isinstance(value, type) else ())):
            if isinstance(member, FunctionType) and _defaults(member):
                yield member


def _defaults(function: FunctionType) -> dict[str, Any]:
    return function.__kwdefaults__ or {}
