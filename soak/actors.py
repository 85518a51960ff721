"""People and their apps: they sign up, ask for tokens, change their profile and leave."""

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from local.whop_simulator import Request
from soak.cognito import TOKEN_SECONDS, Person
from soak.errors import Refused
from soak.stack import Stack

_TRIES = 12
_SHUT_OUT = ("disabled", "deleted", "denied")


@dataclass(slots=True)
class Log:
    """The answers that apps got, and what was wrong with them."""

    answers: Counter[str] = field(default_factory=Counter)
    """By status and code."""
    waits: list[float] = field(default_factory=list)
    """Seconds from the first request to the token."""
    wrong: list[str] = field(default_factory=list)
    """Tokens that belong to another user than the one who asked."""
    late: list[str] = field(default_factory=list)
    """Tokens for a user who was denied, disabled or deleted before the request and after it, or has no record."""
    unhelpful: list[str] = field(default_factory=list)
    """Answers 503 without ``Retry-After``."""
    without: list[str] = field(default_factory=list)
    """Users whose app used up its attempts without a token."""

    @property
    def refusals(self) -> list[str]:
        """All answers without a token."""
        return [code for code in self.answers.elements() if not code.startswith("200")]


class App:
    """The app of one user, which asks for tokens as the README says."""

    def __init__(self, stack: Stack, log: Log, sub: str) -> None:
        self._stack = stack
        self._log = log
        self._sub = sub
        self._token = ""
        self._until = 0.0

    def sign_in(self) -> None:
        """Get a Cognito token. Raises `Refused` if Cognito gives none."""
        self._token = self._stack.pool.token(self._sub)
        self._until = self._stack.scheduler.now + TOKEN_SECONDS

    def token(self) -> str:
        """Ask until an answer is final. Returns its code: ``ok`` for a token, ``signed_out`` if Cognito gives none."""
        scheduler = self._stack.scheduler
        begun = scheduler.now
        code, last = "", 0
        for number in range(_TRIES):
            try:
                answer = self.ask(refresh=last == 401)
            except Refused:
                return "signed_out"
            status, code = answer["statusCode"], _code(answer)
            if status == 200:
                self._log.waits.append(scheduler.now - begun)
                return "ok"
            if status == 403:
                return code
            if status == 401 and last != 401:
                last = 401
                continue
            last = status
            retry_after = float(answer["headers"].get("Retry-After", 0))
            scheduler.sleep(max(retry_after, min(30.0, 2.0**number)) * scheduler.chance.uniform(1.0, 1.3))
        self._log.without.append(f"{self._sub}: {code}")
        return code

    def ask(self, *, refresh: bool = False) -> dict[str, Any]:
        """One request. Raises `Refused` if Cognito gives no token."""
        scheduler = self._stack.scheduler
        if refresh or scheduler.now > self._until - 60:
            self.sign_in()
        is_gone = self._sub in self._stack.pool.gone
        record = self._stack.record(self._sub)
        before = record.get("status", "gone" if is_gone else None)
        answer = self._stack.post(self._token)
        self._log.answers[f"{answer['statusCode']} {_code(answer)}".strip()] += 1
        if answer["statusCode"] == 200:
            self._look_at(json.loads(answer["body"]), before, record.get("own_whop_user_id"))
        if answer["statusCode"] == 503 and "Retry-After" not in answer["headers"]:
            self._log.unhelpful.append(_code(answer))
        return answer

    def _look_at(self, body: dict[str, Any], before: str | None, own: str | None) -> None:
        """Ask Whop whose token it is. ``own`` is the account that the user had linked before the request."""
        simulator = self._stack.simulator
        asked = Request("GET", "/api/v1/users/me", headers=(("authorization", f"Bearer {body['token']}"),))
        whose = simulator.handle(asked)
        user_id = str(whose.json().get("id")) if whose.status == 200 else f"nobody ({whose.status})"
        if self._stack.holder(user_id) != self._sub:
            self._log.wrong.append(f"{self._sub} got a token of {user_id}")
        if own not in (None, user_id) and own == self._stack.record(self._sub).get("own_whop_user_id"):
            self._log.wrong.append(f"{self._sub} got a token of {user_id}, and not of their own account {own}")
        # A user who was allowed during the request may have a token.
        if before == "gone" or (before in _SHUT_OUT and self._stack.record(self._sub).get("status") in _SHUT_OUT):
            self._log.late.append(f"{self._sub} got a token while {before}")


class Life:
    """The life of one user, from the sign-up on."""

    def __init__(self, stack: Stack, log: Log, number: int, everybody: list["Life"]) -> None:
        self._stack = stack
        self._log = log
        self._number = number
        self._everybody = everybody
        self.sub = ""

    def live(self, *, begins_within: float, acts: int) -> None:
        """Sign up, act, and perhaps delete the account at the end."""
        scheduler, chance = self._stack.scheduler, self._stack.scheduler.chance
        scheduler.sleep(chance.uniform(0, begins_within))
        kind = chance.choices(("plain", "quiet", "unverified", "twin", "successor", "renewed"), (72, 8, 6, 4, 4, 6))[0]
        person = self._sign_up(kind)
        self.sub = person.sub
        app = App(self._stack, self._log, person.sub)
        scheduler.start(lambda: self._stack.sign_up(person))
        # Some ask at once, while the sync runs, some much later, and the quiet ones never.
        if kind != "quiet":
            scheduler.sleep(chance.choice((0.2, 2.0, 60.0)) * chance.random())
            app.token()
        if kind == "unverified" and chance.random() < 0.5:
            scheduler.sleep(chance.uniform(10, 300))
            self._change(verified=True)
            scheduler.sleep(65)
            app.token()
        for _ in range(chance.randrange(acts + 1)):
            scheduler.sleep(chance.expovariate(1 / 120))
            self._act(app, quiet=kind == "quiet")
        self._end()

    def _end(self) -> None:
        """The last change of this user, for which nothing but its message is to come."""
        scheduler, chance = self._stack.scheduler, self._stack.scheduler.chance
        scheduler.sleep(chance.expovariate(1 / 60))
        match chance.choices(("stay", "delete", "disable", "lose the verification", "rename"), (65, 15, 6, 4, 10))[0]:
            case "delete":
                self._stack.pool.delete(self.sub)
                self._stack.publish_change(self.sub)
            case "disable":
                self._change(enabled=False)
            case "lose the verification":
                self._change(verified=False)
            case "rename":
                self._change(name=f"Person {self._number} the last")

    def _sign_up(self, kind: str) -> Person:
        """A twin shares the address of another user. A successor takes over address and name of a deleted user.

        Somebody renewed takes over the user name of a user who was deleted at once, and whose Cognito token is valid.
        """
        pool, chance = self._stack.pool, self._stack.scheduler.chance
        email, username = f"person-{self._number}@people.example.test", None
        others = [life.sub for life in self._everybody if life.sub]
        if kind == "twin":
            there = [sub for sub in others if sub in pool.people]
            email = pool.people[chance.choice(there)].email if there else email
        if kind == "successor":
            gone = [sub for sub in others if sub in pool.gone]
            if gone:
                before = pool.gone[chance.choice(gone)]
                taken = {person.username for person in pool.people.values()}
                email, username = before.email, None if before.username in taken else before.username
        if kind == "renewed":
            username = self._deleted_at_once(email)
        return pool.sign_up(email, f"Person {self._number}", username=username, verified=kind != "unverified")

    def _deleted_at_once(self, email: str) -> str:
        """Sign up somebody who is deleted and keeps asking. Returns their user name."""
        person = self._stack.pool.sign_up(f"first-{email}", f"Person {self._number} the first")
        app = App(self._stack, self._log, person.sub)
        app.sign_in()
        self._stack.pool.delete(person.sub)
        for work in (lambda: self._stack.sign_up(person), app.token):
            self._stack.scheduler.start(work, after=self._stack.scheduler.chance.uniform(0, 5))
        return person.username

    def _act(self, app: App, *, quiet: bool) -> None:
        scheduler, chance = self._stack.scheduler, self._stack.scheduler.chance
        match chance.choices(("ask", "rename", "readdress", "disable"), (0, 3, 1, 0) if quiet else (5, 3, 1, 1))[0]:
            case "ask":
                app.token()
            case "rename":
                self._change(name=f"Person {self._number} the {chance.randrange(1000)}th")
            # Without a link, the account of the old address would stay at Whop (docs/reliability.md).
            case "readdress" if self._stack.record(self.sub).get("status") == "linked":
                self._change(email=f"person-{self._number}-{chance.randrange(1000)}@people.example.test")
            case "disable":
                self._change(enabled=False)
                # Their Cognito token may still be valid.
                scheduler.sleep(chance.uniform(0, 400))
                app.token()
                self._change(enabled=True)
                scheduler.sleep(chance.uniform(0, 400))
                app.token()

    def _change(self, **changes: Any) -> None:
        self._stack.pool.change(self.sub, **changes)
        self._stack.publish_change(self.sub)


def _code(answer: dict[str, Any]) -> str:
    return str(json.loads(answer["body"]).get("code", ""))
