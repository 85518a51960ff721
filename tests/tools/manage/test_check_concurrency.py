"""doctor's check of concurrency: the reserved part, and what the account has."""

from types import SimpleNamespace
from typing import Any

import pytest

from manage.checks import concurrency
from manage.checks.finding import Finding, Severity


def findings(reserved: int, *, total: int = 1000) -> list[Finding]:
    limit = {"ConcurrentExecutions": total, "UnreservedConcurrentExecutions": total - reserved}
    client = SimpleNamespace(get_account_settings=lambda: {"AccountLimit": limit})
    stack = SimpleNamespace(client=lambda _service: client, parameters={"MintConcurrency": str(reserved)})
    deployment: Any = SimpleNamespace(stack=stack)
    return list(concurrency.check(deployment))


@pytest.mark.parametrize(
    ("reserved", "total", "codes"),
    [
        (0, 1000, ["mint_concurrency_unbounded"]),
        (50, 1000, ["mint_concurrency"]),
        (900, 1000, ["mint_concurrency"]),
        (901, 1000, ["account_concurrency_low", "mint_concurrency_above_limit"]),
        (0, 10, ["account_concurrency_low", "mint_concurrency_unbounded"]),
        (1, 10, ["account_concurrency_low", "mint_concurrency_above_limit"]),
    ],
)
def test_the_reserved_part_is_compared_with_the_account(reserved: int, total: int, codes: list[str]) -> None:
    assert [each.code for each in findings(reserved, total=total)] == codes


def test_a_deliberate_value_is_no_warning() -> None:
    assert {each.severity for reserved in (0, 50) for each in findings(reserved)} == {Severity.INFO}


def test_figures_are_those_of_the_account() -> None:
    (found,) = findings(50)
    assert "50 of the account's 1000" in found.meaning
    assert "share 950" in found.meaning


def test_the_most_that_can_be_reserved_is_named() -> None:
    assert "MintConcurrency to 900 or less" in findings(950)[1].to_do
