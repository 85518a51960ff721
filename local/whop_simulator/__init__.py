"""A simulator of Whop's API: the rules that Whop's pages and SDK show, in memory, on a clock that tests can move.

Three ways to run it
--------------------
In one process, without a socket::

    simulator = Simulator()
    simulator.add_key("a-key-made-for-this-test", company_id="biz_Platform")
    client = httpx.Client(transport=as_httpx_transport(simulator), base_url="https://whop.test/api/v1")

In a thread: ``with served(simulator) as base_url`` (`local.whop_simulator.asgi`).

As a process: ``python -m local.whop_simulator --port 8080 --key-file FILE [--company biz_…] [--reading NAME=VALUE]
[--limit 600] [--window 60]``. Port 0 takes a free port and prints it. ``--rules`` prints every rule with its evidence
(PROVEN, DOCUMENTED, GUESSED), its source, and the reading that changes a guess.

The API is under ``/api/v1``: POST access_tokens; POST, GET accounts; GET, PATCH, DELETE accounts/{id}; GET, PATCH
users/{id}; POST, GET messages; POST, GET apps; GET, PATCH apps/{id}. Operations are named as in the SDK:
``access_tokens.create``, ``accounts.create``, ``accounts.list``, ``accounts.retrieve``, ``accounts.update``,
``accounts.delete``, ``users.retrieve``, ``users.update``, ``messages.create``, ``messages.list``, ``apps.create``,
``apps.list``, ``apps.retrieve``, ``apps.update``.

The OAuth server has paths of its own: ``/oauth/authorize`` (a consent page),
``/oauth/token``, ``/oauth/userinfo``, ``/oauth/revoke``, discovery and key set, named ``oauth.token`` and so on.

Control
-------
Tests control the simulator by the methods of `Simulator`, by the same calls over HTTP, or by the typed client of
those, `local.whop_simulator.control.SimulatorControl`. Bodies and answers are JSON objects. An invalid request is
answered with a 400 and ``{"error"}``.

========================  ==========================================================================================
``GET  ready``            ``{"ready": true}``
``GET  state``            accounts, deleted_accounts, users, profiles, tokens (without their value), keys, messages
``GET  calls``            the call log, filtered by ``?operation=``: status, time, header names, hash of the key
``GET  counts``           per operation: all calls, calls over the rate limit, most calls in one window
``GET  rules``            the table of rules
``GET  faults``           the faults in force; ``POST`` adds a `Fault`; ``DELETE`` (``?operation=``) removes
``GET  readings``         the readings in force; ``PATCH`` changes them
``GET  limits``           the rate limit; ``PUT {"calls", "seconds"}`` changes it
``POST companies``        ``{"company_id"?, "title"?, "owner_email"?}``
``POST keys``             ``{"key", "company_id"?, "permissions"?, "owner_level"?, "pinned_version"?}``;
                          ``DELETE {"key"}`` revokes
``POST people``           ``{"email", "name"?}`` adds a Whop user who has no account of ours
``POST oauth_apps``       ``{"client_id", "redirect_uris", "secret"?, "permissions"?}`` registers an app for OAuth
``POST end_consents``     ``{"user_id"}`` ends a user's OAuth consents
``POST expire_tokens``     every token that was minted expires now
``POST block_deletion``   ``{"account_id", "reason"}``: its DELETE answers 400, until reason is null
``GET  clock``            ``POST clock/advance {"seconds"}`` moves it forward, and completes delayed calls
``POST reset``            forgets everything except the keys, their companies and the OAuth apps
========================  ==========================================================================================

The paths are under ``/_simulator/``. The simulator listens on 127.0.0.1 only. It does not authenticate these calls, but
refuses those of web pages (`local.origins`).

``/elements/`` has stand-ins for Whop's chat scripts (`local.whop_simulator.chat_script`).
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
