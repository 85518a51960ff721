"""What CloudWatch makes of lines in the embedded metric format."""

import json
from typing import Any

import pytest

from tools.watch.samples import Name, Samples


def line(values: Any = 1, dimensions: Any = None, **members: str) -> str:
    directive = {"Namespace": "Space", "Dimensions": dimensions or [[]], "Metrics": [{"Name": "Calls"}]}
    document = {"_aws": {"Timestamp": 60_000, "CloudWatchMetrics": [directive]}, "Calls": values, **members}
    return json.dumps(document)


def test_a_metric_counts_once_in_each_of_its_dimension_sets() -> None:
    samples = Samples()
    samples.add_lines(["START", line([1, 2], [["service"], []], service="mint"), '{"message": "a line"}'])

    for name in (Name.of("Space", "Calls"), Name.of("Space", "Calls", {"service": "mint"})):
        assert samples.statistic(name, "Sum", start=60, period=60) == 3
    assert len(samples.names) == 2


def test_a_dimension_that_is_not_there_is_an_error() -> None:
    with pytest.raises(KeyError):
        Samples().add_lines([line(1, [["service"]])])


@pytest.mark.parametrize(
    ("statistic", "value"), [("Sum", 5050), ("SampleCount", 100), ("Maximum", 100), ("p50", 51), ("p99", 100)]
)
def test_a_statistic_is_that_of_its_period(statistic: str, value: float) -> None:
    samples = Samples()
    samples.add_lines([line(list(range(1, 101)))])
    samples.add_lines([line(1000)], at=120)

    name = Name.of("Space", "Calls")
    assert samples.statistic(name, statistic, start=60, period=60) == value
    assert samples.statistic(name, statistic, start=0, period=60) is None


def test_another_statistic_is_not_guessed() -> None:
    samples = Samples()
    samples.add_lines([line()])
    with pytest.raises(ValueError, match="p90"):
        samples.statistic(Name.of("Space", "Calls"), "p90", start=60, period=60)
