"""The benchmark's arithmetic and its stubs. Nothing here is timed."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench import answers, job, memory
from bench.answers import Operation, Request, answer
from bench.candidates import BARE, EVERYTHING, NODE_NAME, OURS
from bench.function_environment import function_environment
from bench.imports import by_package, read
from bench.memory import Check, Function, Work
from bench.report import tables
from bench.summary import Cold, Results, Size, Spread, Warm, percentile, spread
from bench.targets import Target, targets
from bench.throttle import throttled
from tools.figures import FIGURES
from whop_chat.settings import MintSettings, SignUpSettings

# ------------------------------------------------------------------------------------------------------- statistics


def test_a_spread_is_the_median_between_the_quartiles() -> None:
    assert spread([5, 1, 4, 2, 3]) == Spread(median=3, low=2, high=4)
    assert spread([7]) == Spread(7, 7, 7)


@pytest.mark.parametrize(("percent", "expected"), [(1, 2), (50, 100), (99, 198), (100, 200)])
def test_a_percentile_is_a_sample_that_so_many_do_not_exceed(percent: int, expected: int) -> None:
    assert percentile(list(range(200, 0, -1)), percent) == expected


def test_a_target_is_judged_by_what_is_shown() -> None:
    assert Target("at the limit", 0.404, 0.40).met
    assert not Target("over it", 0.406, 0.40).met


def _cold(milliseconds: float) -> Cold:
    value = Spread(milliseconds, milliseconds, milliseconds)
    return Cold(first_answer=value, init=value, cpu=value, peak=value)


def _warm(milliseconds: float, peak: float) -> Warm:
    latency = Spread(milliseconds, milliseconds, milliseconds)
    return Warm(latency=latency, p99=2 * milliseconds, cpu=milliseconds, peak=peak, asked={Operation.WHOP: 1.0})


def _results(*, with_node: bool = True) -> Results:
    node_cold = {NODE_NAME: _cold(50)} if with_node else {}
    return Results(
        machine={"cpus": 2},
        cold_starts=1,
        warm_calls={0: 1, 30: 1},
        stub_floor=Spread(0.1, 0.1, 0.1),
        mint_cold={0: {OURS: _cold(100), EVERYTHING: _cold(400), **node_cold}},
        mint_warm={
            0: {OURS: _warm(3, 60), EVERYTHING: _warm(4, 120), BARE: _warm(2, 20)},
            30: {OURS: _warm(66, 60), EVERYTHING: _warm(67, 120), BARE: _warm(60, 20)},
        },
        sign_up_cold={0: {OURS: _cold(60), EVERYTHING: _cold(200)}},
        sizes={OURS: Size(26, 9)},
    )


def test_the_ratios_are_ours_by_the_peer_s() -> None:
    found = list(targets(_results()))

    assert [target.value for target in found] == [0.25, 2.0, 0.3, 1.1, 0.5, 26]
    assert [target.met for target in found] == [True, False, True, True, True, True]


def test_without_node_there_is_no_ratio_to_it() -> None:
    assert not [target for target in targets(_results(with_node=False)) if NODE_NAME in target.name]


# ----------------------------------------------------------------------------------------------------------- report


def test_every_row_of_every_table_is_as_wide_as_its_header() -> None:
    for table in tables(_results()):
        assert table.rows
        assert {len(row) for row in table.rows} == {len(table.header)}


def test_what_is_beyond_the_bare_calls_is_shown() -> None:
    (warm,) = [table for table in tables(_results()) if "warm" in table.title]
    rows = {row[0]: dict(zip(warm.header, row, strict=True)) for row in warm.rows}

    assert rows[OURS]["+, 0 ms"] == "1.00"
    assert rows[BARE]["+, 0 ms"] == ""


# ----------------------------------------------------------------------------------------------------------- memory


def test_a_smaller_share_of_a_cpu_adds_to_cpu_time_only() -> None:
    work = Work(cpu=100, waiting=30)

    assert work.milliseconds(1769) == 130
    assert work.milliseconds(3538) == 130
    assert work.milliseconds(884) == pytest.approx(230, rel=0.01)


def test_a_million_calls_cost_gigabyte_seconds_and_a_fee() -> None:
    assert Work(cpu=0, waiting=1000).dollars(1024) == pytest.approx(16.6667 + 0.20)
    assert Work(cpu=0, waiting=1000).dollars(512) == pytest.approx(16.6667 / 2 + 0.20)


def test_the_size_of_the_template_is_marked_even_an_odd_one() -> None:
    function = Function("mint_token", Work(100, 30), Work(2, 60), 60.0, chosen=600)

    table = memory.sizes(function)

    assert [row[0] for row in table.rows if "chosen" in row[0]] == ["600 (chosen)"]
    assert {len(row) for row in table.rows} == {len(table.header)}


def test_a_check_shows_how_far_off_the_derivation_is() -> None:
    table = memory.checked([Check("mint_token", 512, cold=(400, 500), warm=(80, 60))])

    assert table.rows == [["mint_token", "512", "400", "500", "+25%", "80", "60", "-25%"]]


@pytest.mark.parametrize("name", ["mint_token", "on_signup", "sync_user"])
def test_the_page_marks_the_sizes_of_the_template(name: str) -> None:
    page = (FIGURES / "memory.md").read_text()
    table = page.partition(f"**{name}, derived**")[2].partition("**")[0]

    assert f"| {memory.chosen(name)} (chosen) |" in table


@pytest.mark.skipif(sys.platform != "linux", reason="the benchmark reads /proc, which Linux alone has")
def test_a_throttled_process_gets_its_share_and_is_let_go(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    spinning = f"import pathlib; pathlib.Path({str(ready)!r}).touch()\nwhile True: pass"
    used = iter([0.0, 0.0])
    process = subprocess.Popen([sys.executable, "-c", spinning])
    try:
        # A process whose whole share is used from the start is stopped, and resumes after the block.
        with throttled(process.pid, lambda: next(used, 1e9), 0.5):
            assert _becomes(process.pid, "T")
        assert _becomes(process.pid, "RS")
    finally:
        process.kill()
        process.wait()


def _becomes(process: int, states: str) -> bool:
    """Whether the state of the process becomes one of these before long (proc_pid_stat(5))."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        if Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2][0] in states:
            return True
    return False


# ---------------------------------------------------------------------------------------------------------- imports

IMPORT_LOG = """\
import time: self [us] | cumulative | imported package
import time:      1000 |       1000 | runtime
a line of the function's own
import time:       200 |        200 |     json.decoder
import time:       300 |        500 |   json
import time:      4000 |       4500 |  app
import time:        10 |       4510 | watched
import time:        50 |         50 | late
"""


def test_imports_are_grouped_by_who_caused_them() -> None:
    imports = read(IMPORT_LOG)

    assert [each.module for each in imports.runtime] == ["runtime"]
    assert [each.module for each in imports.handler] == ["json.decoder", "json", "app"]
    assert [each.module for each in imports.first_call] == ["watched", "late"]


def test_the_time_of_a_package_is_that_of_its_modules() -> None:
    assert by_package(read(IMPORT_LOG).handler) == {"app": 4.0, "json": 0.5}


# ------------------------------------------------------------------------------------------------------ environment


@pytest.mark.parametrize(
    ("function", "settings"), [("MintTokenFunction", MintSettings), ("OnSignupFunction", SignUpSettings)]
)
def test_the_environment_is_the_one_that_the_template_gives(function: str, settings: type[SignUpSettings]) -> None:
    environment = function_environment(job.ROOT / "template.yaml", function)

    read_back = settings.from_env(environment)

    assert read_back.sync_queue_url == job.QUEUE_URL
    assert environment["POWERTOOLS_METRICS_NAMESPACE"] == "WhopChat/benchmark"


# ------------------------------------------------------------------------------------------------------------ stubs

READ = {
    "TableName": job.TABLE,
    "Key": {"pk": {"S": f"USER#{job.POOL}#{job.SUB}"}},
    "ConsistentRead": True,
}
MINT = {"account_id": job.COMPANY, "user_id": job.WHOP_USER, "scoped_actions": ["chat:read"], "expires_at": "later"}


COUNT = {
    "TableName": job.TABLE,
    "Key": READ["Key"],
    "ConditionExpression": "attribute_exists(pk)",
    "ReturnValues": "ALL_NEW",
}


def _table_read(
    *, body: object = READ, authorization: str = "AWS4-HMAC-SHA256 Credential=x", action: str = "GetItem"
) -> Operation:
    headers = {"host": job.TABLE_HOST, "x-amz-target": f"DynamoDB_20120810.{action}", "authorization": authorization}
    return answer(Request("POST", "/", headers, json.dumps(body).encode()), b"").operation


def _mint(*, body: object = MINT, host: str = job.WHOP_HOST, key: str = job.API_KEY) -> answers.Answer:
    headers = {"host": host, "authorization": f"Bearer {key}"}
    return answer(Request("POST", "/api/v1/access_tokens", headers, json.dumps(body).encode()), b"")


def test_the_stubs_answer_the_job() -> None:
    assert _table_read() is Operation.TABLE
    assert _table_read(body=COUNT, action="UpdateItem") is Operation.TABLE
    assert json.loads(_mint().body) == {"token": job.WHOP_TOKEN, "expires_at": "later"}


def test_the_stubs_refuse_what_would_not_do_in_earnest() -> None:
    assert _table_read(body=READ | {"ConsistentRead": False}) is Operation.REFUSED
    assert _table_read(authorization="") is Operation.REFUSED
    assert _table_read(body=COUNT | {"ReturnValues": "NONE"}, action="UpdateItem") is Operation.REFUSED
    assert _table_read(body=COUNT | {"ConditionExpression": ""}, action="UpdateItem") is Operation.REFUSED
    assert _mint(body=MINT | {"scoped_actions": []}).operation is Operation.REFUSED
    assert _mint(host="example.test").operation is Operation.REFUSED
    assert _mint(key="another").operation is Operation.REFUSED
    assert _mint(body={}).status == 400
