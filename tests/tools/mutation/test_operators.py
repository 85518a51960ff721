"""Which faults are made, and which are not."""

import ast

import pytest

from tools.mutation.mutants import mutants_of, mutated
from tools.mutation.operators import OPERATORS


def changes(source: str) -> list[tuple[str, str, str]]:
    return [(mutant.operator, mutant.before, mutant.after) for mutant in mutants_of("module", source)]


@pytest.mark.parametrize(
    ("operator", "source", "expected"),
    [
        ("comparison", "a == b", ["a != b"]),
        ("comparison", "a < b <= c", ["a <= b <= c", "a >= b <= c", "a < b < c", "a < b > c"]),
        ("comparison", "a is None", ["a is not None"]),
        ("comparison", "a not in b", ["a in b"]),
        ("condition", "if a: b", ["not a"]),
        ("condition", "if a and not b: c", ["not a", "b", "not b"]),
        ("condition", "[a for a in b if c]", ["not c"]),
        ("condition", "a or b", []),
        ("condition", "if a < b: c", []),
        ("connective", "a and b", ["a or b"]),
        ("connective", "a or b", ["a and b"]),
        ("arithmetic", "a + b * c", ["a - b * c", "b // c"]),
        ("arithmetic", "a -= b", ["a += b"]),
        ("arithmetic", "-a", ["a"]),
        ("constant", "f(1, 0.5, True, 'ab', b'cd')", ["2", "0", "1.5", "-0.5", "False", "'?b'", "b'?d'"]),
        ("constant", "f('', b'')", ["'?'", "b'?'"]),
        ("constant", "f'a{b}'", ["'?'"]),
        (
            "expression",
            "f('a <= :b AND attribute_not_exists(c)')",
            [
                "'a < :b AND attribute_not_exists(c)'",
                "'a <= :b OR attribute_not_exists(c)'",
                "'a <= :b AND attribute_exists(c)'",
            ],
        ),
        ("function", "min(math.ceil(a), any(b))", ["max(math.ceil(a), any(b))", "math.floor(a)", "all(b)"]),
        ("aws_parameter", "f(ConsistentRead=a, deadline=b)", [""]),
        ("returned", "def f():\n  if a: return\n  if b: return None\n  return c", ["return None"]),
        ("returned", "def f():\n  return False", []),
        ("assigned", "a = b\nc = 1\nd.e = f", ["a = None"]),
        ("statement", "def f():\n  a()\n  raise b\n  c.d = e\n  del g\n  return", ["pass"] * 5),
        ("statement", "for a in b:\n  if a: continue\n  break", ["break", "continue"]),
        ("statement", "class A:\n  def __init__(self):\n    self.a = b", []),
        ("handler", "try: a()\nexcept B as b: c()", ["except B as b: raise"]),
        ("handler", "try: a()\nexcept B: raise", []),
    ],
)
def test_an_operator_makes_each_of_its_faults_once(operator: str, source: str, expected: list[str]) -> None:
    assert [after for name, _, after in changes(source) if name == operator] == expected


@pytest.mark.parametrize(
    "source",
    [
        '"""Docstring."""',
        "def f(a: int | 'B' = c) -> Literal['d']: ...",
        "def __repr__(self): return 'secret'",
        "class A(Protocol):\n  def f(self): return 1",
        "if TYPE_CHECKING:\n  a = b",
        "from a import b",
        "raise AssertionError('unreachable')",
        "@dataclass(frozen=True, slots=True)\nclass A:\n  a: int",
        "__slots__ = ('a',)",
        "type A = B | 'C'",
        "A = Literal['a', 'b']",
        "A = Callable[[], 'B']",
        "with validating('GetItem'): ...",
        "cast('A', b)",
    ],
)
def test_what_no_test_should_notice_is_left_as_it_is(source: str) -> None:
    assert [change for change in changes(source) if change[2] != "pass"] == []


@pytest.mark.parametrize("source", ["raise ValueError('a long text')", "telemetry.event('a long text')"])
def test_the_prose_of_errors_and_log_lines_is_left_as_it_is(source: str) -> None:
    assert {name for name, _, _ in changes(source)} == {"statement"}


def test_a_code_in_an_error_is_no_prose() -> None:
    assert ("constant", "'code'", "'?ode'") in changes("raise Blocked('code')")


def test_a_counter_is_no_log_line() -> None:
    assert ("constant", "'linked'", "'?inked'") in changes("telemetry.count(A, outcome='linked')")


def test_a_mutant_differs_by_its_change_only_and_keeps_the_lines() -> None:
    source = "def f(a):\n    if a < 1:\n        return 2\n    return 3\n"

    mutants = list(mutants_of("module", source))
    trees = [mutated(source, mutant) for mutant in mutants]

    for mutant, tree in zip(mutants, trees, strict=True):
        compile(tree, "module", "exec")
        changed = ast.unparse(tree).splitlines()
        pairs = zip(changed, source.splitlines(), strict=True)
        assert [number for number, (one, other) in enumerate(pairs, start=1) if one != other] == [mutant.line]
    assert len({ast.unparse(tree) for tree in trees}) == len(mutants) == 10


def test_a_mutant_of_another_source_is_an_error() -> None:
    mutant = next(mutants_of("module", "a == b"))

    with pytest.raises(ValueError, match="module has changed"):
        mutated("b == a", mutant)


def test_an_id_survives_changes_elsewhere_and_tells_equal_changes_apart() -> None:
    before = list(mutants_of("module", "def f(a):\n    return a == a == a\n"))
    after = list(mutants_of("module", "import b\n\ndef e():\n    return b\n\n\ndef f(a):\n    return a == a == a\n"))

    assert {mutant.id for mutant in before} < {mutant.id for mutant in after}
    twice = list(mutants_of("module", "def f(a):\n    a()\n    a()\n"))
    assert len({mutant.id for mutant in twice}) == 2


def test_a_statement_is_as_long_as_its_head() -> None:
    source = "while (\n    a\n):\n    b(\n        c\n    )\n"

    lines = {mutant.operator: mutant.lines for mutant in mutants_of("module", source)}

    assert lines == {"condition": range(1, 4), "statement": range(4, 7)}


def test_every_operator_says_what_it_does() -> None:
    assert all(operator.__doc__ for operator in OPERATORS)
