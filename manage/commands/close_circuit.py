"""``close-circuit``: let all functions call Whop again, although it asked to wait or did not answer."""

import argparse
import time

from manage.console import Console
from manage.deployment import Deployment
from manage.stack import Stack

NAME = "close-circuit"
HELP = "let all functions call Whop again, although it asked to wait or did not answer"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add nothing: this command has no arguments."""


def run(_arguments: argparse.Namespace, stack: Stack, console: Console) -> int:
    """Remove the shared states of the circuit and return the exit status. Raises `Refused`."""
    deployment = Deployment(stack)
    store, data = deployment.circuit, deployment.as_data()
    states = store.load(deadline=deployment.deadline())
    waiting = {name: state for name, state in states.items() if state.until > time.time()}
    if not waiting:
        console.answer("No operation of Whop waits.", outcome="nothing_to_do", **data, operations=[])
        return 0
    with deployment.audit.entry(NAME) as entry:
        # A state that a function writes meanwhile stays: Whop has asked again.
        closed = [
            name
            for name, state in waiting.items()
            if store.replace(name, None, expected=state, deadline=deployment.deadline())
        ]
        entry.outcome = f"closed {', '.join(closed)}"
    text = f"All functions call Whop again within a second: {', '.join(closed)}."
    console.answer(text, outcome="closed", **data, operations=closed)
    return 0
