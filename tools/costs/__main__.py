"""The command behind `make costs`."""

import argparse
import textwrap
from collections.abc import Sequence

from tools.costs.bill import PriceList, as_table, dollars, price_table, read_prices
from tools.costs.stack import Stack, read_stack
from tools.costs.usage import Scenario, usage
from tools.figures import as_markdown, as_text, write

ARCHITECTURES = ("x86_64", "arm64")
EXAMPLES = (Scenario(users=1_000, page_loads=5, new_users=50), Scenario(users=40_000, page_loads=5, new_users=2_000))
"""What docs/figures/costs.md shows."""
_WHOP_CALLS_A_MINUTE = 600


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the bill of one scenario, or with ``--write`` the page with the examples."""
    asked = _parser().parse_args(arguments)
    stack, prices = read_stack(), read_prices()
    if asked.write:
        tables = [as_table(_title(each), usage(each, stack, "x86_64"), prices) for each in EXAMPLES]
        totals = [_totals(each, stack, prices) for each in EXAMPLES]
        parts = [part for pair in zip(map(as_markdown, tables), totals, strict=True) for part in pair]
        write(
            "costs",
            "A month's bill",
            'make costs ARGS="--write"',
            prices.note,
            *parts,
            as_markdown(price_table(prices)),
        )
        return
    scenario = _scenario(asked)
    print(as_text(as_table(_title(scenario), usage(scenario, stack, asked.architecture), prices)))
    print()
    print(textwrap.fill(_totals(scenario, stack, prices), 100))
    print(textwrap.fill(f"Prices in {prices.region}, {prices.date}. {prices.note}", 100))


def _title(scenario: Scenario) -> str:
    return (
        f"{scenario.users:,} users, {scenario.page_loads:g} page loads a day, {scenario.new_users:,} new users a month"
    )


def _totals(scenario: Scenario, stack: Stack, prices: PriceList) -> str:
    """The sum for each architecture, and whether Whop would give out so many tokens."""
    sums = " and ".join(f"${dollars(usage(scenario, stack, each), prices):,.2f} on {each}" for each in ARCHITECTURES)
    minute = f"The busiest minute asks for {scenario.busiest_minute:,.0f} tokens."
    above = scenario.busiest_minute > _WHOP_CALLS_A_MINUTE
    limit = f"That is more than the {_WHOP_CALLS_A_MINUTE} that Whop allows: set TokenReuse." if above else ""
    return f"Together {sums}. {minute} {limit}".strip()


def _scenario(asked: argparse.Namespace) -> Scenario:
    return Scenario(
        users=asked.users,
        page_loads=asked.page_loads,
        new_users=asked.users // 20 if asked.new_users is None else asked.new_users,
        changes=asked.changes,
        whop_ms=asked.whop_ms,
        cold_starts=asked.cold_starts,
        metrics=asked.metrics,
        created_pool=asked.created_pool,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make costs", description=main.__doc__)
    parser.add_argument("--users", type=int, default=40_000, help="monthly active users (40000)")
    parser.add_argument("--page-loads", type=float, default=5, help="page loads of a user a day, each a token (5)")
    parser.add_argument("--new-users", type=int, help="new users a month (one in twenty)")
    parser.add_argument("--changes", type=int, default=0, help="changed users that CloudTrail reports in a month (0)")
    parser.add_argument("--whop-ms", type=float, default=300, help="milliseconds of a call to Whop (300, assumed)")
    parser.add_argument("--cold-starts", type=float, default=0.01, help="share of mints that start an instance (0.01)")
    parser.add_argument("--metrics", type=int, default=40, help="custom metrics with data (40)")
    parser.add_argument("--created-pool", action="store_true", help="the stack created the user pool, in plan Plus")
    parser.add_argument("--architecture", choices=ARCHITECTURES, default="x86_64")
    parser.add_argument("--write", action="store_true", help="write docs/figures/costs.md instead")
    return parser


if __name__ == "__main__":
    main()
