"""Replaces a function of MiniStack by one that can call the original."""

from collections.abc import Callable
from typing import Any

Function = Callable[..., Any]


def wrap(owner: Any, name: str, make: Callable[[Function], Function]) -> None:
    """Replace ``owner.name`` by ``make(stock)``. Raises AttributeError if there is no such name."""
    setattr(owner, name, make(getattr(owner, name)))


def wrap_resource(handlers: dict[str, dict[str, Function]], resource_type: str, **makers: Callable[..., Any]) -> None:
    """Wrap the create, update or delete of a CloudFormation resource type. Raises KeyError for an unknown type."""
    operations = handlers[resource_type]
    for operation, make in makers.items():
        operations[operation] = make(operations[operation])
