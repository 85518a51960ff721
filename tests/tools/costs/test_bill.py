"""The arithmetic of a month's bill, its prices, and the page with the examples."""

from datetime import date
from pathlib import Path

import pytest

from tests.fakes.source_tree import ROOT
from tools import figures
from tools.costs.__main__ import main
from tools.costs.bill import Price, PriceList, as_table, dollars, read_prices
from tools.costs.stack import Stack, Work, read_stack
from tools.costs.usage import Line, Scenario, usage

PRICES = read_prices()
STACK = Stack(
    memory={"mint_token": 1769, "on_signup": 1769, "sync_user": 256, "reconcile": 512},
    cold={name: Work(cpu=200, waiting=100) for name in ("mint_token", "on_signup", "sync_user")},
    warm={name: Work(cpu=5, waiting=60) for name in ("mint_token", "on_signup", "sync_user")},
    secrets=1,
    alarm_metrics=12,
    dashboards=1,
    log_days=30,
)
SCENARIO = Scenario(users=1_000, page_loads=2, new_users=100)


def amounts(scenario: Scenario = SCENARIO, architecture: str = "x86_64") -> dict[tuple[str, str], float]:
    """The amount of each line."""
    return {(line.service, line.what): line.amount for line in usage(scenario, STACK, architecture)}


def bill(scenario: Scenario = SCENARIO, architecture: str = "x86_64") -> float:
    return dollars(usage(scenario, STACK, architecture), PRICES)


def test_a_line_costs_its_amount_times_its_price() -> None:
    prices = PriceList("2026-11-29", "here", "", {"thing": Price(usd=0.25, per="thing", page="Page")}, {})
    lines = [Line("Service", "things", "thing", 8, "2 x 4"), Line("Service", "more", "thing", 2, "2")]

    assert dollars(lines, prices) == 2.5
    assert as_table("bill", lines, prices).rows == [
        ["Service", "things", "2 x 4", "8", "0.25", "2.00"],
        ["Service", "more", "2", "2", "0.25", "0.50"],
        ["together", "", "", "", "", "2.50"],
    ]


def test_every_page_load_is_a_token_with_its_calls() -> None:
    found = amounts()

    assert SCENARIO.mints == 1_000 * 2 * 30
    assert found["API Gateway", "requests, with CORS"] == 2 * 60_000
    assert found["DynamoDB", "writes"] == 60_000 + 100 * 10 + 30 * 17 * 3
    assert found["DynamoDB", "reads"] == 60_000 + 100 * 3 + 30 * 1_200 + 43_200


def test_the_time_of_a_call_to_whop_counts_for_lambda() -> None:
    """A warm mint: 5 ms of CPU, 60 ms of waiting, and 270 ms more than the 30 of the measurement."""
    assert amounts()["Lambda", "mint_token, warm"] == pytest.approx(59_400 * 0.335 * 1769 / 1024)


def test_a_small_function_computes_longer() -> None:
    assert Work(cpu=100, waiting=50).seconds(1769) == pytest.approx(0.15)
    assert Work(cpu=100, waiting=50).seconds(1769 // 4) == pytest.approx(0.45, rel=0.01)
    assert Work(cpu=100, waiting=50).seconds(3008) == pytest.approx(0.15)


def test_lambda_is_a_fifth_cheaper_on_arm64_and_nothing_else_differs() -> None:
    seconds = sum(amount for (service, what), amount in amounts().items() if service == "Lambda" and what != "calls")

    assert bill() - bill(architecture="arm64") == pytest.approx(seconds * (0.0000166667 - 0.0000133334))


def test_a_pool_of_the_stacks_own_costs_by_the_user_and_triggers_cost_nothing() -> None:
    created = Scenario(users=1_000, page_loads=2, new_users=100, created_pool=True)

    assert bill(created) - bill() == pytest.approx(1_000 * 0.02)
    assert PRICES.prices["trigger"].usd == 0


def test_changes_by_cloudtrail_cost_their_syncs() -> None:
    changed = amounts(Scenario(users=1_000, page_loads=2, new_users=100, changes=50))

    assert changed["SQS", "requests"] - amounts()["SQS", "requests"] == 50 * 3
    assert changed["EventBridge", "events"] - amounts()["EventBridge", "events"] == 50


def test_traces_are_one_a_second_and_five_in_a_hundred_of_the_rest() -> None:
    many = Scenario(users=100_000, page_loads=1, new_users=0)

    assert amounts(many)["X-Ray", "traces, at most"] == 2_592_000 + 0.05 * (3_000_000 - 2_592_000) + 43_200


def test_alarms_and_dashboards_are_those_of_the_template() -> None:
    assert (amounts()["CloudWatch", "alarms"], amounts()["CloudWatch", "dashboards"]) == (12, 1)


def test_the_stack_is_read_from_the_template_and_the_measurement() -> None:
    stack = read_stack()

    assert stack.memory.keys() == {"mint_token", "on_signup", "sync_user", "reconcile"}
    assert stack.cold.keys() == stack.warm.keys() == {"mint_token", "on_signup", "sync_user"}
    assert all(0 < stack.warm[name].cpu < stack.cold[name].cpu for name in stack.cold)
    assert (stack.secrets, stack.log_days) == (1, 30)


def test_the_prices_are_dated_and_name_their_pages_and_all_are_used() -> None:
    created = Scenario(users=1, page_loads=1, new_users=1, created_pool=True)
    used = {line.price for name in ("x86_64", "arm64") for line in usage(created, STACK, name)}

    assert PRICES.date == date.fromisoformat(PRICES.date).isoformat()
    assert {each.page for each in PRICES.prices.values()} == PRICES.pages.keys()
    assert all(url.startswith("https://aws.amazon.com/") for url in PRICES.pages.values())
    assert used == PRICES.prices.keys()


def test_the_page_is_what_the_command_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures, "FIGURES", tmp_path)
    main(["--write"])

    committed = (ROOT / "docs" / "figures" / "costs.md").read_text()
    assert (tmp_path / "costs.md").read_text() == committed, 'run make costs ARGS="--write"'


def test_the_command_prints_the_bill_of_a_scenario(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--users", "40000", "--page-loads", "5", "--architecture", "arm64"])

    printed = capsys.readouterr().out
    assert "40,000 users, 5 page loads a day, 2,000 new users a month" in printed
    assert "on x86_64 and" in printed
    assert "The busiest minute asks for 417 tokens." in printed


def test_more_tokens_than_whop_allows_are_not_just_priced(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--users", "100000", "--page-loads", "5"])

    assert "more than the 600 that Whop allows" in " ".join(capsys.readouterr().out.split())
