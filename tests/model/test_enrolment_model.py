"""The model of the enrolment protocol: searched whole, and held to the real code in both directions."""

import dataclasses
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from local.whop_simulator import Readings
from tests.model.enrolment_model import (
    AS_IT_SHOULD,
    CREATE_DISTURBANCES,
    TABLE_DISTURBANCES,
    Model,
    Step,
    Task,
)
from tests.model.followed_world import Drifted, FollowedWorld
from tests.model.model_search import Counterexample, explore, first_steps
from tests.model.world import CREATE_DISTURBANCES as REAL_CREATE_DISTURBANCES
from tests.model.world import TABLE_DISTURBANCES as REAL_TABLE_DISTURBANCES
from tests.model.world import Script, every_script

ENROL, DELETE = ("enrol", 0), ("delete", 0)
# Of each, the users' addresses and who works.
CASTS: dict[str, tuple[tuple[int, ...], tuple[Task, ...]]] = {
    "two workers on one user": ((0,), (ENROL, ENROL)),
    "two users with one address": ((0, 0), (ENROL, ("enrol", 1))),
    "a deletion beside a worker": ((0,), (ENROL, DELETE)),
}
READINGS = {
    "likelier": Readings(),
    "external_id ignored": Readings(external_id_ignored=True, lost_answer="held"),
    "one account an address": Readings(
        external_id_ignored=True, metadata_external_id_counts=False, server_error="held", existing_account_status=201
    ),
    "errors replayed": Readings(server_error="replayed"),
}
DISTURBANCES = 2


def model_of(readings: Readings, email_policy: tuple[int, ...]) -> Model:
    return Model(
        email_policy,
        lost_answer=readings.lost_answer,
        server_error=readings.server_error,
        external_id_ignored=readings.external_id_ignored,
        one_account_an_address=not readings.metadata_external_id_counts,
    )


def followed(readings: Readings, cast: str, decide: Callable[[tuple[str, ...]], str], disturbances: int) -> list[Step]:
    """What the real code does as decided, as a run of the model; raises `Drifted`."""
    addresses, tasks = CASTS[cast]
    emails = [f"{address}@home.test" for address in addresses]
    return FollowedWorld(model_of(readings, addresses), readings, decide, disturbances, emails).follow(*tasks)


# The search


@pytest.mark.parametrize("cast", CASTS)
@pytest.mark.parametrize("readings", READINGS.values(), ids=READINGS)
def test_no_state_breaks_a_rule_and_each_leads_to_a_link_or_a_block(readings: Readings, cast: str) -> None:
    addresses, tasks = CASTS[cast]
    model = model_of(readings, addresses)

    assert explore(model, model.initial(*tasks, disturbances=DISTURBANCES)).states > 1000


@pytest.mark.parametrize("third", [ENROL, DELETE], ids=["a third worker", "a deletion"])
def test_nor_with_one_more_beside_two_workers(third: Task) -> None:
    model = Model((0,))

    assert explore(model, model.initial(ENROL, ENROL, third, disturbances=1)).states > 3000


@pytest.mark.parametrize(
    ("condition", "cast", "broken"),
    [
        ("writes_need_the_attempt", "two workers on one user", "a worker wrote without the claim"),
        ("links_need_the_reservation", "two users with one address", "a linked user does not hold the reservation"),
        ("leases_end", "two workers on one user", "a user is stuck"),
        (
            "a_generation_has_its_own_key",
            "two workers on one user",
            "an Idempotency-Key went with two bodies",
        ),
        (
            "a_clean_up_waits_for_late_requests",
            "a deletion beside a worker",
            "a deleted user's name stands at Whop",
        ),
    ],
)
def test_without_any_of_its_conditions_the_protocol_is_broken(condition: str, cast: str, broken: str) -> None:
    addresses, tasks = CASTS[cast]
    without: dict[str, Any] = {condition: False}
    model = dataclasses.replace(Model(addresses), **without)

    with pytest.raises(Counterexample) as caught:
        explore(model, model.initial(*tasks, disturbances=DISTURBANCES))

    assert caught.value.broken == broken


def test_a_counterexample_is_told_step_by_step() -> None:
    model = Model((0,), leases_end=False)

    with pytest.raises(Counterexample) as caught:
        explore(model, model.initial(ENROL, disturbances=1))

    assert str(caught.value).splitlines() == [
        "a user is stuck",
        "  1. worker 0 starts",
        "  2. worker 0 writes pending, with a new key (crash)",
        "  3. time passes, and nobody gets further",
    ]


# The real code takes steps of the model only


def test_whatever_two_workers_do_is_a_run_of_the_model() -> None:
    def run(script: Script) -> None:
        followed(Readings(), "two workers on one user", script.decide, disturbances=1)

    assert every_script(run) > 400


@pytest.mark.parametrize("cast", CASTS)
@pytest.mark.parametrize("seed", range(20))
def test_so_is_what_more_of_them_do_and_a_deletion_under_many_disturbances(seed: int, cast: str) -> None:
    chance = random.Random(seed)
    readings = chance.choice(list(READINGS.values()))

    def decide(options: tuple[str, ...]) -> str:
        return options[0] if options[0] == AS_IT_SHOULD and chance.random() < 0.6 else chance.choice(options)

    followed(readings, cast, decide, disturbances=chance.randrange(1, 5))


# And takes each of them


class Guide:
    """Decides as a run of the model does, as far as it goes."""

    def __init__(self, steps: tuple[Step, ...]) -> None:
        self._steps = self._decisions(steps)
        self._how = AS_IT_SHOULD

    def decide(self, options: tuple[str, ...]) -> str:
        if options[0] == AS_IT_SHOULD:
            return self._how
        step = next(self._steps, Step(options[0], ""))
        self._how = step.how
        return step.does if step.who == "time" else step.who

    def _decisions(self, steps: tuple[Step, ...]) -> Iterator[Step]:
        """What Whop does late is not decided; it comes with time."""
        for step in steps:
            yield from [Step("time", "a lease passes")] * 2 if step.who == "Whop" else [step]


@pytest.mark.parametrize("cast", CASTS)
@pytest.mark.parametrize("readings", READINGS.values(), ids=READINGS)
def test_each_kind_of_step_that_the_model_knows_is_one_that_the_real_code_takes(readings: Readings, cast: str) -> None:
    addresses, tasks = CASTS[cast]
    model = model_of(readings, addresses)
    known = first_steps(model, model.initial(*tasks, disturbances=DISTURBANCES))

    for kind, steps in known.items():
        taken = followed(readings, cast, Guide(steps).decide, disturbances=DISTURBANCES + 2)

        assert kind in {step.kind for step in taken}, "\n".join(map(str, steps))


def test_what_can_go_wrong_is_the_same_in_both() -> None:
    assert set(TABLE_DISTURBANCES) == set(REAL_TABLE_DISTURBANCES)
    assert set(CREATE_DISTURBANCES) == set(REAL_CREATE_DISTURBANCES)


def test_a_model_that_has_drifted_from_the_code_is_found_out() -> None:
    steps = (Step("worker 0", "starts"), Step("worker 0", "claims"), Step("worker 0", "creates", "answer lost"))
    model, readings = Model((0,), lost_answer="replayed"), Readings(lost_answer="held")
    world = FollowedWorld(model, readings, Guide(steps).decide, 1, ["ann@home.test"])

    with pytest.raises(Drifted, match=r"(?s)5\. worker 0 looks up\n.*model: has no such step"):
        world.follow(ENROL)
