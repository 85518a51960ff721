"""A stand-in for Whop's API: the rules its pages and its SDK show, in memory, on a clock that tests can move.

Three ways to use it
--------------------
In one process, without a socket::

    simulator = Simulator()
    simulator.add_key("a-key-made-for-this-test", company_id="biz_Platform")
    client = httpx.Client(transport=as_httpx_transport(simulator), base_url="https://whop.test/api/v1")

Served from a thread: ``with served(simulator) as base_url`` (`local.whop_simulator.asgi`).

As a process: ``python -m local.whop_simulator --port 8080 --key-file FILE [--company biz_…] [--reading NAME=VALUE]
[--limit 600] [--window 60]``; port 0 takes a free one and prints it. ``--rules`` prints every rule with its evidence
(PROVEN, DOCUMENTED, GUESSED), its source, and the reading that turns a guess over.

The API is under ``/api/v1``: POST access_tokens; POST, GET accounts; GET, PATCH, DELETE accounts/{id}; GET, PATCH
users/{id}; POST, GET messages. Operations are named as in the SDK: ``access_tokens.create``, ``accounts.create``,
``accounts.list``, ``accounts.retrieve``, ``accounts.update``, ``accounts.delete``, ``users.retrieve``,
``users.update``, ``messages.create``, ``messages.list``.

Control
-------
The methods of `Simulator`, the same over HTTP, and typed in `local.whop_simulator.control.SimulatorControl`. Bodies
and answers are JSON objects; a refusal is a 400 ``{"error"}``.

========================  ==========================================================================================
``GET  ready``            ``{"ready": true}``
``GET  state``            accounts, deleted_accounts, users, profiles, tokens (never their value), keys, messages
``GET  calls``            the call log; ``?operation=`` narrows: status, time, header names, hash of the idempotency key
``GET  counts``           per operation: calls, refused for the ceiling, peak in one window
``GET  rules``            the table of rules
``GET  faults``           what can still strike; ``POST`` a `Fault`; ``DELETE`` (``?operation=``) lifts
``GET  readings``         the readings in force; ``PATCH`` changes some
``GET  limits``           ``PUT {"calls", "seconds"}`` changes the ceiling
``POST companies``        ``{"company_id"?, "title"?, "owner_email"?}``
``POST keys``             ``{"key", "company_id"?, "permissions"?, "owner_level"?, "pinned_version"?}``;
                          ``DELETE {"key"}`` revokes
``POST people``           ``{"email", "name"?}``: a Whop user made in advance
``POST block_deletion``   ``{"account_id", "reason"}``: DELETE of it answers 400; reason null lifts
``GET  clock``            ``POST clock/advance {"seconds"}`` moves it forward; delayed calls land
``POST reset``            all but the keys and their companies is forgotten
========================  ==========================================================================================

The paths are under ``/_simulator/``. It is a tool for one machine: it listens on 127.0.0.1 and asks nobody's name.
"""

from local.whop_simulator.core import DEFAULT_COMPANY, Simulator
from local.whop_simulator.exchange import CallRecord, Exchange
from local.whop_simulator.faults import Fault
from local.whop_simulator.httpx_transport import as_httpx_transport
from local.whop_simulator.limits import Count, Limits
from local.whop_simulator.readings import Readings
from local.whop_simulator.wire import Fate, Request, Response

__all__ = [
    "DEFAULT_COMPANY",
    "CallRecord",
    "Count",
    "Exchange",
    "Fate",
    "Fault",
    "Limits",
    "Readings",
    "Request",
    "Response",
    "Simulator",
    "as_httpx_transport",
]
