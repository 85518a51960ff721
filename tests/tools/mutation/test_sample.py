"""A seed draws the same mutants everywhere."""

from tools.mutation.mutants import mutants_of
from tools.mutation.sample import package_mutants, sample, source_of

SOURCE = "".join(f"def f{n}(a):\n    return a + {n}\n" for n in range(50))


def test_a_seed_draws_the_same_mutants_and_another_seed_others() -> None:
    mutants = list(mutants_of("module", SOURCE))

    assert sample(mutants, 1, 20) == sample(reversed(mutants), 1, 20)
    assert set(sample(mutants, 1, 20)) != set(sample(mutants, 2, 20))


def test_a_larger_sample_has_the_smaller_one_in_it() -> None:
    mutants = list(mutants_of("module", SOURCE))

    assert sample(mutants, 1, 40)[:20] == sample(mutants, 1, 20)


def test_changed_code_moves_no_other_mutant() -> None:
    drawn = sample(mutants_of("module", SOURCE), 1, 1000)
    again = sample(mutants_of("module", SOURCE.replace("def f7(a):", "def g(a):\n    a()\n")), 1, 1000)

    common = {mutant.id for mutant in drawn} & {mutant.id for mutant in again}
    assert len(common) == len(drawn) - 4
    assert [m.id for m in drawn if m.id in common] == [m.id for m in again if m.id in common]


def test_a_small_package_is_drawn_whole() -> None:
    mutants = list(mutants_of("module", SOURCE))

    assert len(sample(mutants, 1, 10_000)) == len(mutants)


def test_the_mutants_of_a_package_name_its_modules() -> None:
    mutants = package_mutants("minting")

    assert {mutant.module for mutant in mutants} >= {"whop_chat.minting.mint", "whop_chat.minting.features"}
    assert all(source_of(mutant.module).is_file() for mutant in mutants)
    assert len({mutant.id for mutant in mutants}) == len(mutants) >= 300
