"""Serve the simulator on 127.0.0.1, or print its table of rules."""

import argparse
import json
import sys
from pathlib import Path

from local.whop_simulator.asgi import listen, server
from local.whop_simulator.core import DEFAULT_COMPANY, Simulator
from local.whop_simulator.limits import DEFAULT_CALLS, DEFAULT_SECONDS, Limits
from local.whop_simulator.readings import Readings
from local.whop_simulator.rules import listing


def main(arguments: list[str] | None = None) -> int:
    """The command line; the exit status."""
    options = _parser().parse_args(arguments)
    if options.rules:
        print(listing(), end="")
        return 0
    try:
        simulator = _simulator(options)
    except (ValueError, OSError) as error:
        print(f"whop_simulator: {error}", file=sys.stderr)
        return 2
    listener = listen(options.port)
    print(f"Whop simulator on http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    server(simulator).run(sockets=[listener])
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m local.whop_simulator", description=__doc__)
    parser.add_argument("--rules", action="store_true", help="print every rule with its evidence and source, and exit")
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1; 0 takes a free port and prints it")
    parser.add_argument("--key-file", type=Path, help="file with a valid API key; keys can also be added later")
    parser.add_argument("--company", default=DEFAULT_COMPANY, help="the company of that key (%(default)s)")
    parser.add_argument(
        "--reading",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="answer an open question about Whop otherwise",
    )
    parser.add_argument("--limit", type=int, default=DEFAULT_CALLS, help="rate limit: calls in a window (%(default)s)")
    parser.add_argument(
        "--window",
        type=float,
        default=DEFAULT_SECONDS,
        help="rate limit: length of the window in seconds (%(default)s)",
    )
    return parser


def _simulator(options: argparse.Namespace) -> Simulator:
    changes = dict(_reading(text) for text in options.reading)
    simulator = Simulator(readings=Readings().with_changes(changes), limits=Limits(options.limit, options.window))
    simulator.add_company(options.company)
    if options.key_file is not None:
        simulator.add_key(options.key_file.read_text().strip(), company_id=options.company)
    return simulator


def _reading(text: str) -> tuple[str, object]:
    name, equals, value = text.partition("=")
    if not equals:
        raise ValueError("--reading takes NAME=VALUE")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


if __name__ == "__main__":
    sys.exit(main())
