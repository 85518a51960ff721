"""The bill: each line of a month's usage times its price."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.costs.usage import Line
from tools.figures import Table

PRICES = Path(__file__).parent / "prices.json"


@dataclass(frozen=True, slots=True)
class Price:
    """Dollars for one ``per``, and the name of AWS's page that says so."""

    usd: float
    per: str
    page: str


@dataclass(frozen=True, slots=True)
class PriceList:
    """The prices, the day on which they were written down, and how."""

    date: str
    region: str
    note: str
    prices: Mapping[str, Price]
    pages: Mapping[str, str]


def read_prices() -> PriceList:
    """What `prices.json` says."""
    data = json.loads(PRICES.read_text())
    prices = {name: Price(**each) for name, each in data["prices"].items()}
    return PriceList(data["date"], data["region"], data["note"], prices, data["pages"])


def dollars(lines: Sequence[Line], prices: PriceList) -> float:
    """What the lines cost together."""
    return sum(line.amount * prices.prices[line.price].usd for line in lines)


def as_table(title: str, lines: Sequence[Line], prices: PriceList) -> Table:
    """A row for each line, and their sum."""
    rows = [_row(line, prices.prices[line.price]) for line in lines]
    total = ["together", "", "", "", "", f"{dollars(lines, prices):,.2f}"]
    return Table(title, ["service", "what", "arithmetic", "amount", "$ each", "$ a month"], [*rows, total])


def price_table(prices: PriceList) -> Table:
    """Every price with its unit and its page."""
    rows = [[name, _price(each.usd), each.per, each.page] for name, each in prices.prices.items()]
    return Table(f"Prices in {prices.region}, written down on {prices.date}", ["price", "$", "for one", "page"], rows)


def _row(line: Line, price: Price) -> list[str]:
    amount = f"{line.amount:,.2f}" if line.amount < 100 and line.amount % 1 else f"{round(line.amount):,}"
    sum_ = f"{line.amount * price.usd:,.2f}"
    return [line.service, line.what, line.arithmetic, f"{amount}", _price(price.usd), sum_]


def _price(usd: float) -> str:
    """Without an exponent."""
    return f"{usd:.10f}".rstrip("0").rstrip(".")
