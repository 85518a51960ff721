"""The enrolment protocol as a state machine, small enough to be searched whole.

A `State` is everything that matters: the users' records, the reservations, what Whop has and what it keeps of each
Idempotency-Key, and where each worker stands. `Model.successors` names every step that can come next: a worker's next
call as it should go or with a disturbance, a lease that runs out, a late request that takes effect at Whop.
`Model.broken` says what is wrong with a state, `Model.unsettled` what is wrong with an end. `model_search` visits all
the states there are; `followed_world` holds the real code to them, step by step.

What is left out: text and time. An address is a number, and the person whom Whop knows by it; a key is a number; a
lease runs or has run out. An attempt id is a worker's knowledge that nobody has written the record since: `fresh`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

TABLE_DISTURBANCES = ("crash", "refused", "answer lost")
LATE = ("effect after the lease", "effect at the end")
UNANSWERED = ("request lost", "answer lost", "answer lost, key held", "500", *LATE)
CREATE_DISTURBANCES = ("crash", *UNANSWERED, "429", "422", "409", "malformed")
AS_IT_SHOULD = "as it should"
CREATES = 3
PERMANENT = ("identity_conflict", "identity_mismatch")


class Record(NamedTuple):
    """A user's record. ``held``: its wait is not over, of a claim the lease, of a block or a tombstone ``retry_at``."""

    status: str = "none"
    generation: int = 1
    key: int = 0
    young: bool = False
    """The key is younger than a lease."""
    held: bool = False
    reason: str = ""
    named: bool = False
    """The record holds the id of a Whop user."""
    cleaned: bool = False


class Body(NamedTuple):
    """What a create says, and so the account that it makes: an ``external_id``."""

    user: int
    generation: int


class Use(NamedTuple):
    """What Whop keeps of an Idempotency-Key: the stored answer, or that there is none. ``late``: it is under way."""

    key: int
    body: Body
    answer: str
    late: bool = False


class Worker(NamedTuple):
    """One worker: where they stand, the record as they wrote it, and what they remember of this attempt."""

    user: int
    at: str
    fresh: bool = True
    mine: Record = Record()
    plan: Record = Record()
    """What the next write makes of it, as it was made up when the call before had ended."""
    new_key: bool = False
    repeated: bool = False
    calls: int = 0
    """Creates that are left, or look-ups."""
    note: str = ""


class State(NamedTuple):
    """Everything. ``left`` is how many disturbances may still happen."""

    workers: tuple[Worker, ...]
    records: tuple[Record, ...]
    holders: tuple[int | None, ...]
    """Of each person, the user who holds the reservation."""
    accounts: frozenset[Body] = frozenset()
    uses: frozenset[Use] = frozenset()
    told_to_wait: bool = False
    gone: frozenset[int] = frozenset()
    neutral: frozenset[int] = frozenset()
    """Persons whose name in the company is overwritten."""
    left: int = 0
    fault: str = ""
    """A rule that the last step broke."""


class Step(NamedTuple):
    """Who does what, and how it goes."""

    who: str
    does: str
    how: str = AS_IT_SHOULD

    @property
    def kind(self) -> tuple[str, str]:
        """The step, whoever takes it."""
        return self.does, self.how

    def __str__(self) -> str:
        return f"{self.who} {self.does}{'' if self.how == AS_IT_SHOULD else f' ({self.how})'}"


Task = tuple[str, int]
"""``enrol``, ``delete`` or ``clean``, and the number of a user."""
Steps = Iterator[tuple[Step, State]]


@dataclass(frozen=True)
class Model:
    """The protocol under one reading of Whop's documents; the last five are its conditions, to be dropped by tests."""

    addresses: tuple[int, ...]
    """Of each user."""
    lost_answer: Literal["replayed", "held"] = "replayed"
    server_error: Literal["run_again", "replayed", "held"] = "run_again"
    external_id_ignored: bool = False
    one_account_an_address: bool = False

    writes_need_the_attempt: bool = True
    links_need_the_reservation: bool = True
    leases_end: bool = True
    a_generation_has_its_own_key: bool = True
    a_clean_up_waits_for_late_requests: bool = True

    def initial(self, *tasks: Task, disturbances: int) -> State:
        """A worker for each of ``tasks``, and nothing done yet."""
        return State(
            workers=tuple(Worker(user, task) for task, user in tasks),
            records=(Record(),) * len(self.addresses),
            holders=(None,) * (max(self.addresses) + 1),
            left=disturbances,
        )

    def successors(self, state: State) -> Steps:
        """Every step that can come next, with the state after it."""
        if state.fault:
            return
        for use in state.uses:
            if use.late:
                yield Step("Whop", "does what was asked late"), self._landed(state, use)
        if state.left and any(worker.at != "over" for worker in state.workers):
            yield Step("time", "a lease passes"), self._later(state._replace(left=state.left - 1))
        for number, worker in enumerate(state.workers):
            for does, how, after in _MOVES[worker.at](self, state, number, worker):
                yield Step(f"worker {number}", does, how), _tidied(after)

    def much_later(self, state: State, *tasks: Task) -> State:
        """An hour after everybody stopped: what was late has happened, and others come, whom nothing disturbs."""
        for use in [use for use in state.uses if use.late]:
            state = self._landed(state, use)
        waits_over = tuple(r if r.reason in PERMANENT else r._replace(held=False) for r in self._later(state).records)
        return state._replace(
            records=waits_over if self.leases_end else self._later(state).records,
            told_to_wait=False,
            workers=tuple(Worker(user, task) for task, user in tasks),
            left=0,
        )

    def broken(self, state: State) -> str | None:
        """What is wrong with a state that is within the protocol."""
        if state.fault:
            return state.fault
        linked = [user for user, record in enumerate(state.records) if record.status == "linked"]
        for user in linked:
            if state.holders[self.addresses[user]] != user:
                return "a linked user does not hold the reservation"
            if Body(user, state.records[user].generation) not in state.accounts:
                return "a user is linked to an account that is not theirs"
        if len({self.addresses[user] for user in linked}) < len(linked):
            return "two users are linked to one Whop user"
        held = [user for user in state.holders if user is not None]
        if len(set(held)) < len(held):
            return "a user holds two Whop users"
        return None

    def unsettled(self, state: State, user: int) -> str | None:
        """What is wrong with ``user`` at the end, when nothing disturbs any more."""
        record = state.records[user]
        accounts = {body for body in state.accounts if body.user == user}
        if user not in state.gone:
            return None if record.status in ("linked", "blocked") else "a user is stuck"
        if record.status == "none":
            return "a deleted user without a record has an account" if accounts else None
        if record.status != "deleted" or not record.cleaned:
            return "a deleted user is not cleaned up after"
        theirs = state.holders[self.addresses[user]] in (None, user)
        if theirs and accounts and self.addresses[user] not in state.neutral:
            return "a deleted user's name stands at Whop"
        return None

    # Time and Whop

    def _later(self, state: State) -> State:
        """A lease later: every claim has run out, and so has Whop's wait."""
        if not self.leases_end:
            return state
        return state._replace(
            records=tuple(map(_aged, state.records)),
            workers=tuple(w._replace(mine=_aged(w.mine), plan=_aged(w.plan)) for w in state.workers),
            told_to_wait=False,
        )

    def _landed(self, state: State, use: Use) -> State:
        state, _ = self._made(state, use.body)
        return _tidied(state._replace(uses=state.uses - {use} | {use._replace(answer="account", late=False)}))

    def _made(self, state: State, body: Body) -> tuple[State, Body]:
        """The account of a create: a new one, or the one that is there."""
        if self.one_account_an_address:
            address = self.addresses[body.user]
            body = next((there for there in state.accounts if self.addresses[there.user] == address), body)
        return state._replace(accounts=state.accounts | {body}), body

    # A worker who enrols

    def _starts(self, state: State, number: int, worker: Worker) -> "Moves":
        record = state.records[worker.user]
        closed = (
            record.status in ("linked", "deleted")
            or (record.status == "pending" and record.held)
            or (record.status == "blocked" and (record.held or record.reason in PERMANENT))
            or worker.user in state.gone
        )
        if closed:
            yield "starts", AS_IT_SHOULD, _over(state, number)
            return
        plan = record._replace(status="pending", held=True, reason="")
        if not record.key:
            plan = plan._replace(key=_new_key(state), young=True)
        worker = worker._replace(at="claim", fresh=True, mine=record, plan=plan, new_key=not record.key, calls=CREATES)
        yield "starts", AS_IT_SHOULD, _put(state, number, worker)

    def _claims(self, state: State, number: int, worker: Worker) -> "Moves":
        yield from self._writes(state, number, lambda after, w: self._to_create(after, number, w), _over_with(number))

    def _to_create(self, state: State, number: int, worker: Worker) -> State:
        """Before a create: an operation that was told to wait is not called."""
        after = _releasing(worker) if state.told_to_wait else worker._replace(at="create", repeated=False)
        return _put(state, number, after)

    def _creates(self, state: State, number: int, worker: Worker) -> "Moves":
        for how in (AS_IT_SHOULD, *(CREATE_DISTURBANCES if state.left else ())):
            yield "creates", how, self._created(_spent(state, how), number, worker, how)

    def _created(self, state: State, number: int, worker: Worker, how: str) -> State:
        body = Body(worker.user, worker.mine.generation)
        use = next((use for use in state.uses if use.key == worker.mine.key), None)
        if use and use.body != body:
            return state._replace(fault="an Idempotency-Key went with two bodies")
        answer = use.answer if use else "account"
        account = body
        if how == "429":
            state = state._replace(told_to_wait=True)
        if not use:
            stored = self._stored(how)
            if stored == "account" or how in ("answer lost", "answer lost, key held"):
                state, account = self._made(state, body)
            if stored:
                state = state._replace(uses=state.uses | {Use(worker.mine.key, body, stored, how in LATE)})
        elif answer == "account":
            _, account = self._made(state, body)

        if how == "crash":
            return _over(state, number)
        if how in UNANSWERED:
            # The client sends it once more.
            return _put(state, number, _releasing(worker) if worker.repeated else worker._replace(repeated=True))
        if how in ("429", "422", "409"):
            answer, use = how, None
        if how == "malformed" and answer == "account":
            answer = "unreadable"
        return _put(state, number, self._answered(state, worker, answer, account, replayed=use is not None))

    def _stored(self, how: str) -> str:
        """What Whop keeps for a key whose request it sees for the first time; nothing, if the next one is to run."""
        if how == "500":
            return {"run_again": "", "replayed": "500", "held": "in progress"}[self.server_error]
        if how in LATE or how == "answer lost, key held" or (how == "answer lost" and self.lost_answer == "held"):
            return "in progress"
        return {"request lost": "", "429": "", "422": "422", "409": "409"}.get(how, "account")

    def _answered(self, state: State, worker: Worker, answer: str, account: Body, *, replayed: bool) -> Worker:
        match answer:
            case "in progress" | "409":
                return worker._replace(at="look up", note="old answer" if replayed and answer == "409" else "")
            case "422" | "500" | "unreadable" if replayed:
                return self._rekeying(state, worker)
            case "429" | "unreadable":
                return _releasing(worker)
            case "422":
                # Whoever asked before, without an answer, may yet be heard.
                key = worker.mine.key if worker.repeated else 0
                return _blocking(worker, "enrolment_rejected", key=key)
            case _ if account == Body(worker.user, worker.mine.generation):
                return _linking(worker)
        return _blocking(worker, "identity_mismatch")

    def _looks_up(self, state: State, number: int, worker: Worker) -> "Moves":
        if Body(worker.user, worker.mine.generation) in state.accounts:
            after = _linking(worker)
        elif worker.note != "old answer" and worker.new_key and not worker.repeated:
            after = self._rekeying(state, worker, generation=worker.mine.generation + 1)
        elif worker.note != "old answer" and worker.mine.young:
            after = _releasing(worker, holder_record=True)
        else:
            after = self._rekeying(state, worker)
        yield "looks up", AS_IT_SHOULD, _put(state, number, after)

    def _rekeying(self, state: State, worker: Worker, generation: int = 0) -> Worker:
        """Before a new key, and perhaps a new generation."""
        plan = worker.mine._replace(key=_new_key(state), young=True)
        if generation:
            key = plan.key if self.a_generation_has_its_own_key else worker.mine.key
            plan = plan._replace(generation=generation, key=key)
        return worker._replace(at="rekey", plan=plan)

    def _rekeys(self, state: State, number: int, worker: Worker) -> "Moves":
        def go_on(state: State, worker: Worker) -> State:
            worker = worker._replace(new_key=True, calls=worker.calls - 1)
            if not worker.calls:
                return _put(state, number, _releasing(worker._replace(mine=worker.mine._replace(key=0, young=False))))
            return self._to_create(state, number, worker)

        yield from self._writes(state, number, go_on, _released_by(number))

    def _links(self, state: State, number: int, worker: Worker) -> "Moves":
        address = self.addresses[worker.user]
        taken = state.holders[address] not in (None, worker.user) and self.links_need_the_reservation
        if taken and worker.fresh:
            conflict = _blocking(worker, "identity_conflict", generation=worker.mine.generation + 1)
            for how in (AS_IT_SHOULD, *(TABLE_DISTURBANCES if state.left else ())):
                after = _releasing(worker) if how == "refused" else conflict
                yield "writes nothing", how, _put(_spent(state, how), number, after)
            return
        holders = tuple(worker.user if place == address else held for place, held in enumerate(state.holders))
        yield from self._writes(state, number, _over_with(number), _released_by(number), holders)

    def _blocks(self, state: State, number: int, worker: Worker) -> "Moves":
        yield from self._writes(state, number, _over_with(number), _released_by(number))

    def _ends(self, state: State, number: int, worker: Worker) -> "Moves":
        yield from self._writes(state, number, _over_with(number), _over_with(number))

    # A worker who cleans up after a user who is gone

    def _deletes(self, state: State, number: int, worker: Worker) -> "Moves":
        gone = state._replace(gone=state.gone | {worker.user})
        yield "starts", AS_IT_SHOULD, _put(gone, number, worker._replace(at="clean"))

    def _looks_at_the_gone(self, state: State, number: int, worker: Worker) -> "Moves":
        record = state.records[worker.user]
        worker = worker._replace(fresh=True, mine=record)
        if record.status == "none":
            after = _over(state, number)
        elif record.status == "deleted" and not record.cleaned:
            after = self._to_list(state, number, worker)
        else:
            waits = bool(record.key) and self.a_clean_up_waits_for_late_requests
            tombstone = Record("deleted", record.generation, held=waits, named=record.named)
            reopened = record._replace(cleaned=False)
            plan = reopened if record.status == "deleted" else tombstone
            after = _put(state, number, worker._replace(at="bury", plan=plan))
        yield "starts", AS_IT_SHOULD, after

    def _buries(self, state: State, number: int, worker: Worker) -> "Moves":
        yield from self._writes(state, number, lambda after, w: self._to_list(after, number, w), _over_with(number))

    def _to_list(self, state: State, number: int, worker: Worker) -> State:
        owner = "owner" if worker.mine.named else ""
        return _put(state, number, worker._replace(at="list", calls=worker.mine.generation, note=owner))

    def _lists(self, state: State, number: int, worker: Worker) -> "Moves":
        body = Body(worker.user, worker.mine.generation - worker.calls + 1)
        found = body in state.accounts
        worker = worker._replace(calls=worker.calls - 1, note="owner" if found else worker.note)
        if not worker.calls:
            theirs = state.holders[self.addresses[worker.user]] in (None, worker.user)
            worker = worker._replace(at="neutralise") if worker.note and theirs else self._cleaned(worker)
        yield "looks up", AS_IT_SHOULD, _put(state, number, worker)

    def _neutralises(self, state: State, number: int, worker: Worker) -> "Moves":
        state = state._replace(neutral=state.neutral | {self.addresses[worker.user]})
        yield "overwrites the name", AS_IT_SHOULD, _put(state, number, self._cleaned(worker))

    def _cleaned(self, worker: Worker) -> Worker:
        """A create that may still take effect is waited for: the message comes again."""
        if worker.mine.held:
            return Worker(worker.user, "over")
        return worker._replace(at="finish", plan=worker.mine._replace(cleaned=True))

    def _stays(self, state: State, number: int, worker: Worker) -> "Moves":
        yield from ()

    # Writes to the table

    def _writes(
        self,
        state: State,
        number: int,
        go_on: Callable[[State, Worker], State],
        failed: Callable[[State, Worker], State],
        holders: tuple[int | None, ...] | None = None,
    ) -> "Moves":
        """A conditional write: it lands, or is lost to another worker, which ends this one."""
        worker = state.workers[number]
        before = state.records[worker.user]
        landed = _written(state, number, worker.plan, holders or state.holders)
        for how in (AS_IT_SHOULD, *(TABLE_DISTURBANCES if state.left else ())):
            if how == "refused":
                yield "writes nothing", how, failed(_spent(state, how), worker)
            elif self.writes_need_the_attempt and not worker.fresh:
                yield "writes nothing", how, _over(_spent(state, how), number)
            else:
                after = _spent(landed, how)
                if how == "crash":
                    after = _over(after, number)
                elif how == "answer lost":
                    after = failed(after, worker._replace(fresh=False))
                else:
                    after = go_on(after, after.workers[number])
                yield f"writes {described(before, worker.plan)}", how, after


Moves = Iterator[tuple[str, str, State]]
_MOVES: dict[str, Callable[[Model, State, int, Worker], Moves]] = {
    "enrol": Model._starts,
    "claim": Model._claims,
    "create": Model._creates,
    "look up": Model._looks_up,
    "rekey": Model._rekeys,
    "link": Model._links,
    "block": Model._blocks,
    "release": Model._ends,
    "delete": Model._deletes,
    "clean": Model._looks_at_the_gone,
    "bury": Model._buries,
    "list": Model._lists,
    "neutralise": Model._neutralises,
    "finish": Model._ends,
    "over": Model._stays,
}


def described(before: Record, after: Record) -> str:
    """What a write does to a record."""
    words = [after.reason or after.status]
    if after.status == "pending":
        key = "no key" if not after.key else "the same key" if after.key == before.key else "a new key"
        words.append(f"{'with' if after.held else 'free, with'} {key}")
    elif after.key:
        words.append("keeping the key")
    if after.generation != before.generation:
        words.append("next generation")
    if after.status == "deleted":
        words.append("cleaned up" if after.cleaned else "to clean up")
    return ", ".join(words)


def _written(state: State, number: int, record: Record, holders: tuple[int | None, ...]) -> State:
    """The record is replaced; whoever else has read it does not know it any more."""
    user = state.workers[number].user
    fault = ""
    if not state.workers[number].fresh:
        fault = "a worker wrote without the claim"
    elif state.records[user].status == "deleted" != record.status:
        fault = "a tombstone was overwritten"
    others = tuple(w._replace(fresh=w.fresh and w.user != user) for w in state.workers)
    state = state._replace(
        records=(*state.records[:user], record, *state.records[user + 1 :]),
        workers=others,
        holders=holders,
        fault=fault,
    )
    return _put(state, number, state.workers[number]._replace(fresh=True, mine=record))


def _put(state: State, number: int, worker: Worker) -> State:
    workers = state.workers
    return state._replace(workers=(*workers[:number], worker, *workers[number + 1 :]))


def _over(state: State, number: int) -> State:
    """The worker has ended, or is dead."""
    return _put(state, number, Worker(state.workers[number].user, "over"))


def _over_with(number: int) -> Callable[[State, Worker], State]:
    return lambda state, _worker: _over(state, number)


def _released_by(number: int) -> Callable[[State, Worker], State]:
    return lambda state, worker: _put(state, number, _releasing(worker))


def _releasing(worker: Worker, *, holder_record: bool = False) -> Worker:
    """Before the claim is given back, at once or when the key is no longer young."""
    return worker._replace(at="release", plan=worker.mine._replace(held=holder_record and worker.mine.young))


def _linking(worker: Worker) -> Worker:
    return worker._replace(at="link", plan=Record("linked", worker.mine.generation, named=True))


def _blocking(worker: Worker, reason: str, *, generation: int = 0, key: int = 0) -> Worker:
    plan = Record("blocked", generation or worker.mine.generation, key, bool(key), held=True, reason=reason)
    return worker._replace(at="block", plan=plan)


def _aged(record: Record) -> Record:
    return record._replace(young=False, held=record.held and record.status != "pending")


def _spent(state: State, how: str) -> State:
    return state if how == AS_IT_SHOULD else state._replace(left=state.left - 1)


def _keys(state: State) -> set[int]:
    records = (*state.records, *(w.mine for w in state.workers), *(w.plan for w in state.workers))
    return {record.key for record in records}


def _new_key(state: State) -> int:
    taken = _keys(state) | {use.key for use in state.uses}
    return next(key for key in range(1, len(taken) + 2) if key not in taken)


def _tidied(state: State) -> State:
    """Without what Whop keeps of keys that nobody can use again, so that the states are finitely many."""
    needed = _keys(state)
    if all(use.late or use.key in needed for use in state.uses):
        return state
    return state._replace(uses=frozenset(use for use in state.uses if use.late or use.key in needed))
