"""``GET /health/ready``: 200 or 503, from one read in ten seconds."""

import json
from typing import Any

import pytest

from tests.fakes.clock import Clock
from tests.fakes.readiness import FixedReadiness
from tests.fakes.telemetry import RecordingTelemetry
from whop_chat.api.ready import ReadyRoute
from whop_chat.readiness.store import Readiness
from whop_chat.runtime.aws import AwsError
from whop_chat.runtime.deadline import Deadline

NOW = 1_800_000_000
READY = {"api_key": "ok", "whop": "ok"}
BROKEN = {"api_key": "refused", "whop": "ok"}


def answer(route: ReadyRoute) -> tuple[int, dict[str, Any]]:
    response = route.answer(deadline=Deadline(3))
    assert response["headers"]["Cache-Control"] == "no-store"
    return response["statusCode"], json.loads(response["body"])


def route_of(store: FixedReadiness, clock: Clock | None = None) -> ReadyRoute:
    return ReadyRoute(store, RecordingTelemetry(), clock=clock or Clock(NOW + 0.9))


def test_a_stack_that_was_ready_is_ready() -> None:
    status, body = answer(route_of(FixedReadiness(Readiness(NOW - 60, READY))))

    assert (status, body) == (200, {"status": "ready", "age": 60, "checks": READY})


def test_a_check_that_failed_is_a_problem_with_the_parts_and_the_age() -> None:
    status, body = answer(route_of(FixedReadiness(Readiness(NOW - 60, BROKEN))))

    assert (status, body["code"], body["age"], body["checks"]) == (503, "not_ready", 60, BROKEN)
    assert body["retry_after"] >= 60


@pytest.mark.parametrize(("age", "status"), [(2400, 200), (2401, 503)])
def test_a_check_that_does_not_run_any_more_is_a_problem(age: int, status: int) -> None:
    assert answer(route_of(FixedReadiness(Readiness(NOW - age, READY))))[0] == status


@pytest.mark.parametrize("result", [None, AwsError("AccessDenied")], ids=["none", "unreadable"])
def test_without_a_result_the_stack_is_not_ready(result: AwsError | None) -> None:
    status, body = answer(route_of(FixedReadiness(result)))

    assert (status, body["code"]) == (503, "not_ready")
    assert "checks" not in body
    assert "AccessDenied" not in json.dumps(body)


def test_a_result_is_read_once_in_ten_seconds() -> None:
    clock = Clock(NOW)
    store = FixedReadiness(Readiness(NOW, READY))
    route = route_of(store, clock)
    for seconds in (0, 5, 4.9):
        clock.advance(seconds)
        answer(route)
    assert store.loads == 1

    clock.advance(0.2)
    store.result = Readiness(NOW, BROKEN)
    assert answer(route)[0] == 503
    assert store.loads == 2


def test_an_error_is_not_kept() -> None:
    store = FixedReadiness(AwsError("x"))
    route = route_of(store)
    answer(route)
    store.result = Readiness(NOW, READY)

    assert answer(route)[0] == 200
