"""The one place where the package learns of the world's time.

Its classes take their clock as an argument whose default is the real one. As long as a run lasts, these defaults stand
for the world's clock, and so does the module ``time`` of each of its modules; chance and threads are the world's too.
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
from soak.threads import Threads
from soak.world import World

# A module that is imported later would not be among those whose clock is set.
for _module in pkgutil.walk_packages(whop_chat.__path__, "whop_chat."):
    importlib.import_module(_module.name)


@contextmanager
def time_of(world: World) -> Iterator[None]:
    """Inside, all of the package lives in ``world``."""
    clock = SimpleNamespace(
        time=world.time,
        monotonic=world.time,
        perf_counter=world.time,
        sleep=world.sleep,
        gmtime=time.gmtime,
        strftime=time.strftime,
    )
    stand_ins = {
        id(time.time): world.time,
        id(time.monotonic): world.time,
        id(time.sleep): world.sleep,
        id(random.random): world.chance.random,
    }
    stand_in_modules = (
        ("time", time, clock),
        ("random", random, world.chance),
        ("threading", threading, Threads(world)),
        # The id of a run of reconcile is part of a key, and the keys decide where a page of a scan ends.
        ("secrets", secrets, SimpleNamespace(token_hex=lambda size: world.chance.randbytes(size).hex())),
    )
    with ExitStack() as undo:
        # For what is imported only where it is needed, to spare a start.
        undo.enter_context(patch.object(random, "uniform", world.chance.uniform))
        for module in _modules():
            for name, real, stand_in in stand_in_modules:
                if vars(module).get(name) is real:
                    undo.enter_context(patch.object(module, name, stand_in))
            for function in _functions(module):
                defaults = {name: stand_ins.get(id(value), value) for name, value in _defaults(function).items()}
                undo.enter_context(patch.object(function, "__kwdefaults__", defaults))
        yield


def _modules() -> list[ModuleType]:
    return [module for name, module in sys.modules.items() if name.startswith("whop_chat.")]


def _functions(module: ModuleType) -> Iterator[FunctionType]:
    """All that have a default for an argument by name."""
    for value in vars(module).values():
        if getattr(value, "__module__", None) != module.__name__:
            continue
        for member in (value, *(vars(value).values() if isinstance(value, type) else ())):
            if isinstance(member, FunctionType) and _defaults(member):
                yield member


def _defaults(function: FunctionType) -> dict[str, Any]:
    return function.__kwdefaults__ or {}
