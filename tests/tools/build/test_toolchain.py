"""The locks, the search for Python, and the stages."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.template.translation import ROOT, accepts, template

LAYER_LOCK = ROOT / "layers" / "whop_chat" / "requirements.txt"
PILLOW_LOCK = ROOT / "layers" / "pillow" / "requirements.txt"
NODE_LOCKS = [ROOT / "bench" / "node", ROOT / "clients" / "typescript"]
LOCKS = [*sorted((ROOT / "requirements").glob("*.txt")), LAYER_LOCK, PILLOW_LOCK]


def pins(lock: Path) -> dict[str, tuple[str, int]]:
    """Version and number of hashes by package."""
    entries = re.split(r"^(?=[a-z0-9])", lock.read_text(), flags=re.MULTILINE)[1:]
    parsed = [(re.match(r"([a-z0-9-]+)(?:\[[a-z0-9,-]+\])?==([^\s;]+)", entry), entry) for entry in entries]
    return {found[1]: (found[2], len(re.findall(r"--hash=sha256:[0-9a-f]{64}\b", e))) for found, e in parsed if found}


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_a_lock_names_versions_and_hashes_and_no_place_to_get_them(lock: Path) -> None:
    requirements = [line for line in lock.read_text().splitlines() if re.match(r"[^\s#]", line)]

    assert len(pins(lock)) == len(requirements)
    assert all(hashes for _, hashes in pins(lock).values())
    assert not re.search(r"://|index-url|find-links| @ |/(home|root|Users|opt|tmp)/", lock.read_text())


@pytest.mark.parametrize("folder", NODE_LOCKS, ids=lambda folder: folder.relative_to(ROOT).as_posix())
def test_a_node_lock_names_versions_and_hashes_and_no_place_to_get_them(folder: Path) -> None:
    lock = json.loads((folder / "package-lock.json").read_text())
    packages = {name: each for name, each in lock["packages"].items() if name}

    assert packages
    assert all(each["integrity"].startswith("sha512-") for each in packages.values())
    assert not [name for name, each in packages.items() if "resolved" in each]
    assert "://" not in json.dumps([each["version"] for each in packages.values()])
    wanted = json.loads((folder / "package.json").read_text())
    for name, version in (wanted.get("dependencies", {}) | wanted["devDependencies"]).items():
        assert packages[f"node_modules/{name}"]["version"] == version


def test_what_is_compiled_is_pinned_for_every_processor() -> None:
    """A lock holds the hashes of all files of a version; cryptography and cffi have wheels for each processor."""
    layer = pins(LAYER_LOCK) | pins(PILLOW_LOCK)

    assert layer["pillow"][1] > 10
    assert layer["cryptography"][1] > 10
    assert layer["cffi"][1] > 10


def test_the_tests_run_what_the_cloud_runs() -> None:
    dev, layer, runtime = (pins(lock) for lock in (ROOT / "requirements" / "dev.txt", LAYER_LOCK, _runtime()))
    for package, (version, _) in {**layer, **pins(PILLOW_LOCK), **runtime}.items():
        assert dev[package][0] == version


def test_the_benchmark_s_contestants_differ_in_what_they_use_and_not_in_its_version() -> None:
    requirements = ROOT / "requirements"
    peer, bench, layer, runtime = map(
        pins, (requirements / "peer.txt", requirements / "bench.txt", LAYER_LOCK, _runtime())
    )

    assert {name: layer[name] for name in peer.keys() & layer} == {name: peer[name] for name in peer.keys() & layer}
    assert "h11" in peer.keys() & layer
    assert {name: bench[name] for name in runtime} == runtime


def _runtime() -> Path:
    return ROOT / "requirements" / "lambda.txt"


def test_the_layer_brings_the_aws_sdk_at_the_version_of_the_runtime() -> None:
    layer, runtime = pins(LAYER_LOCK), pins(_runtime())

    assert {"boto3", "botocore"} <= runtime.keys()
    assert {name: layer.get(name) for name in runtime} == runtime


# --------------------------------------------------------------------------------------------- the search for Python


def _found(path: str, home: Path) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": f"{path}{os.pathsep}{os.defpath}", "HOME": str(home)}
    return subprocess.run(
        [str(ROOT / "tools" / "find-python")], env=environment, capture_output=True, text=True, check=False
    )


def _command(folder: Path, name: str, script: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def _real() -> str:
    return str(Path(sys.base_prefix) / "bin" / "python3.13")


def test_a_python_that_is_found_but_does_not_run_does_not_count(tmp_path: Path) -> None:
    _command(tmp_path / "bin", "python3.13", "echo 'pyenv: python3.13: command not found' >&2; exit 127")
    _command(tmp_path / "bin", "python3", f'exec {_real()} "$@"')

    found = _found(str(tmp_path / "bin"), tmp_path)

    assert Path(found.stdout.strip()).resolve() == Path(_real()).resolve()


def test_a_python_of_pyenv_counts_without_being_on_the_path(tmp_path: Path) -> None:
    for name in ("python3.13", "python3", "python"):
        _command(tmp_path / "bin", name, "exit 1")
    _command(tmp_path / ".pyenv" / "versions" / "3.13.9" / "bin", "python", f'exec {_real()} "$@"')

    found = _found(str(tmp_path / "bin"), tmp_path)

    assert Path(found.stdout.strip()).resolve() == Path(_real()).resolve()


def test_without_a_python_one_line_says_how_to_get_one(tmp_path: Path) -> None:
    for name in ("python3.13", "python3", "python"):
        _command(tmp_path / "bin", name, "exit 1")

    found = _found(str(tmp_path / "bin"), tmp_path)

    assert found.returncode != 0
    assert found.stdout == ""
    assert found.stderr.count("\n") == 1
    assert "pyenv install 3.13" in found.stderr


# ------------------------------------------------------------------------------------------------------- the stages


def test_each_stage_has_a_stack_of_its_own_and_parameters_that_the_template_takes() -> None:
    config = tomllib.loads((ROOT / "samconfig.toml").read_text())
    stages = {name: config[name]["global"]["parameters"] for name in ("dev", "staging", "prod")}

    assert len({stage["stack_name"] for stage in stages.values()}) == len(stages)
    for name, stage in stages.items():
        given = dict(override.split("=", 1) for override in stage["parameter_overrides"])
        assert given["Stage"] == name
        assert accepts("WhopBaseUrl", given["WhopBaseUrl"])
        assert given.keys() <= template()["Parameters"].keys()
    assert config["prod"]["deploy"]["parameters"]["confirm_changeset"] is True
    assert not any("cached" in str(stage) for stage in config.values())
