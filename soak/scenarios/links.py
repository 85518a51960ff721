"""Users chat as Whop accounts of their own for hours, unlink and leave, while calls fail and functions are killed."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from local.whop_simulator import Request
from soak.actors import App, Log
from soak.checks import answers, at_rest
from soak.cognito import POOL_ID
from soak.errors import Refused
from soak.fault_injector import FaultInjector
from soak.network import WHOP
from soak.report import Figure, Found
from soak.scheduler import Scheduler
from soak.stack import OAUTH_SECRET, Stack

_CLIENT_ID, _CLIENT_SECRET = "app_Soak", "secret-of-the-app"
_REDIRECT_URI = "https://chat.example.test/oauth/whop/callback"
_RETURN_TO = "https://app.example.test/linked"
_SETTINGS = {
    "OAUTH_CLIENT_ID": _CLIENT_ID,
    "OAUTH_REDIRECT_URI": _REDIRECT_URI,
    "OAUTH_SECRET_ARN": OAUTH_SECRET,
    "OAUTH_RETURN_URLS": _RETURN_TO,
    "OAUTH_ISSUER": WHOP,
}
_SIGN_UPS_WITHIN = 1800.0
_LIVES_SECONDS = 6 * 3600.0
_SETTLE_SECONDS = 3 * 3600.0
# An access token of Whop lasts an hour, and the service refreshes it in its last five minutes.
_ASKS_EVERY = 1500.0
_ASKS = 10
_TRIES = 12


def run(seed: int, *, users: int = 200, storm: float = 1.0) -> Found:
    """``users`` users, each of whom links an account. ``storm`` multiplies all probabilities of faults."""
    scheduler = Scheduler(seed)
    faults = FaultInjector(scheduler.chance, whop=0.05 * storm, aws=0.02 * storm, kill=0.003 * storm)
    stack = Stack(scheduler, faults, duplicates=0.05, settings=_SETTINGS)
    stack.secrets.put(OAUTH_SECRET, _CLIENT_SECRET)
    stack.simulator.add_oauth_app(_CLIENT_ID, [_REDIRECT_URI], secret=_CLIENT_SECRET)
    log = Log()
    everybody = [Linker(stack, log, number) for number in range(users)]
    with stack.deployed():
        for each in everybody:
            scheduler.start(each.live)
        scheduler.run(scheduler.now + _SIGN_UPS_WITHIN + _LIVES_SECONDS)
        faults.end()
        stack.queue.duplicates = 0.0
        for each in everybody:
            scheduler.start(each.settle)
        scheduler.run(scheduler.now + _SETTLE_SECONDS)
        figures = [
            *at_rest(stack),
            *answers(log),
            Figure.none("links that differ from the records", [*_differing(stack)]),
            Figure.none("revocations that were not made", [*_items(stack, "REVOKE#", "sealed")]),
            Figure.none("users who could not link again", [each.sub for each in everybody if each.has_failed]),
            Figure.known("links made", sum(each.links for each in everybody)),
            Figure.known("of them again, because Whop had ended the one before", sum(each.again for each in everybody)),
            Figure.known("consents at Whop that nobody holds", len([*_unheld(stack)])),
            Figure.known("calls to Whop's token endpoint", stack.network.calls["whop oauth.token"]),
            Figure.known("tokens", log.answers["200"]),
        ]
        return Found(figures, stack.network.digest)


class Linker:
    """A user who has a Whop account under another address than at Cognito."""

    def __init__(self, stack: Stack, log: Log, number: int) -> None:
        self._stack = stack
        self._number = number
        person = stack.pool.sign_up(f"person-{number}@people.example.test", f"Person {number}")
        self._person, self.sub = person, person.sub
        self._app = App(stack, log, person.sub)
        self.links = self.again = 0
        self.has_failed = False

    def live(self) -> None:
        """Sign up, link, ask for tokens, and perhaps unlink or delete the account at the end."""
        scheduler, chance = self._stack.scheduler, self._stack.scheduler.chance
        scheduler.sleep(chance.uniform(0, _SIGN_UPS_WITHIN))
        self._stack.sign_up(self._person)
        self._app.token()
        self._link()
        for _ in range(chance.randrange(_ASKS)):
            scheduler.sleep(chance.expovariate(1 / _ASKS_EVERY))
            match chance.choices(("ask", "two tabs", "link again", "unlink"), (10, 3, 1, 1))[0]:
                case "two tabs":
                    scheduler.start(self._ask)
                case "link again":
                    self._link()
                case "unlink":
                    self._unlink()
            self._ask()
        match chance.choices(("stay", "unlink", "delete"), (70, 15, 15))[0]:
            case "unlink":
                self._unlink()
            case "delete":
                self._stack.pool.delete(self.sub)
                self._stack.publish_change(self.sub)

    def settle(self) -> None:
        """Ask once more without faults, and link again if Whop has ended the link."""
        scheduler = self._stack.scheduler
        # Longer than a message is postponed and than an access token lives.
        scheduler.sleep(5400 + scheduler.chance.uniform(0, 600))
        if self.sub in self._stack.pool.people:
            self._ask()
            self.has_failed = self._app.token() != "ok"

    def _ask(self) -> None:
        if self._app.token() == "link_expired":
            self.again += self._link()

    def _link(self) -> bool:
        """As an app does it, from the beginning for each failure. Returns whether there is a link."""
        for _ in range(_TRIES):
            with_token = self._call("POST /oauth/whop/link", {"return_to": _RETURN_TO})
            result = self._result(with_token["authorize_url"]) if with_token else None
            if result and self._call("POST /oauth/whop/complete", {"result": result}):
                self.links += 1
                return True
            self._stack.scheduler.sleep(30)
        return False

    def _result(self, authorize_url: str) -> str | None:
        """Agree at Whop, and follow Whop's redirect to the callback and that of the callback to the app."""
        form = {name: values[0] for name, values in parse_qs(urlsplit(authorize_url).query).items()}
        body = urlencode({**form, "email": f"own-{self._number}@whop.example.test", "decision": "allow"}).encode()
        agreed = self._stack.simulator.handle(Request("POST", "/oauth/authorize", body=body))
        query = parse_qs(urlsplit(dict(agreed.headers)["location"]).query)
        answer = self._stack.link("GET /oauth/whop/callback", "", **{name: each[0] for name, each in query.items()})
        fragment = parse_qs(urlsplit(answer["headers"].get("Location", "")).fragment)
        return fragment["result"][0] if "result" in fragment else None

    def _unlink(self) -> None:
        for _ in range(_TRIES):
            if self._call("DELETE /oauth/whop/link") is not None:
                return
            self._stack.scheduler.sleep(30)

    def _call(self, route: str, body: object = None) -> Any:
        """The answer with 200, or None."""
        try:
            token = self._stack.pool.token(self.sub)
        except Refused:
            return None
        answer = self._stack.link(route, token, json.dumps(body) if body else None)
        return json.loads(answer["body"]) if answer["statusCode"] == 200 else None


def _items(stack: Stack, prefix: str, attribute: str = "pk") -> Iterator[str]:
    """The rest of the keys that begin with ``prefix``, of items with ``attribute``."""
    return (
        key.removeprefix(prefix)
        for key, item in stack.table.items.items()
        if key.startswith(prefix) and attribute in item
    )


def _differing(stack: Stack) -> Iterator[str]:
    """Users whose record names an own account without a stored link, and the reverse."""
    linked = {*_items(stack, f"OAUTH#{POOL_ID}#")}
    for sub in [*stack.pool.people, *stack.pool.gone]:
        if ("own_whop_user_id" in stack.record(sub)) != (sub in linked):
            yield f"{sub} has {'a' if sub in linked else 'no'} link, and the record says otherwise"


def _unheld(stack: Stack) -> Iterator[str]:
    """Consents of a user of Whop whom nobody has linked: a function was killed after Whop had answered."""
    dump: Any = stack.simulator.dump()
    held = {stack.record(sub).get("own_whop_user_id") for sub in stack.pool.people}
    return (grant["family"] for state in dump["oauth"] for grant in state["grants"] if grant["user_id"] not in held)
