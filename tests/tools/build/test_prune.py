"""What the build removes from the installed packages, and what it refuses to do."""

import json
from pathlib import Path

import pytest

from tests.template.translation import deployed, of_type
from tools.build.prune import SERVICES, UNUSED_DISTRIBUTIONS, UNUSED_PATHS, prune

# What Lambda itself does with a function's role.
LAMBDA_CALLS = {"logs", "xray"}


@pytest.fixture
def python(tmp_path: Path) -> Path:
    """A small folder of installed packages."""
    services = (*SERVICES, "ec2", "ses")
    for name in UNUSED_DISTRIBUTIONS:
        _write(tmp_path / name / "__init__.py")
        _write(tmp_path / f"{name}-1.0.dist-info" / "METADATA")
    for path in UNUSED_PATHS:
        _write(tmp_path / path if Path(path).suffix else tmp_path / path / "file.json")
    for name in services:
        _write(tmp_path / "botocore" / "data" / name / "2020-01-01" / "service-2.json.gz")
    _write(tmp_path / "botocore" / "data" / "lambda" / "2014-11-11" / "service-2.json.gz")
    _write(tmp_path / "botocore" / "data" / "partitions.json")
    partition = {"partition": "aws", "regions": {"eu-west-1": {}}, "services": {name: {} for name in services}}
    _write(tmp_path / "botocore" / "data" / "endpoints.json", json.dumps({"version": 3, "partitions": [partition]}))
    for name in ("boto3", "httpx"):
        _write(tmp_path / name / "__init__.py")
    return tmp_path


def _write(path: Path, text: str = "") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_only_what_is_used_stays(python: Path) -> None:
    prune(python)

    assert {path.relative_to(python).as_posix() for path in python.rglob("*") if path.is_file()} == {
        "boto3/__init__.py",
        "httpx/__init__.py",
        "botocore/data/endpoints.json",
        "botocore/data/partitions.json",
        *(f"botocore/data/{name}/2020-01-01/service-2.json.gz" for name in SERVICES),
    }


def test_the_endpoints_keep_everything_but_the_services_that_few_functions_call(python: Path) -> None:
    """Every function reads the endpoints when it starts."""
    prune(python)

    kept = {"cognito-idp", "dynamodb", "secretsmanager", "sqs"}
    assert json.loads((python / "botocore" / "data" / "endpoints.json").read_text()) == {
        "version": 3,
        "partitions": [{"partition": "aws", "regions": {"eu-west-1": {}}, "services": {name: {} for name in kept}}],
    }


@pytest.mark.parametrize(
    "moved", [*UNUSED_DISTRIBUTIONS, *UNUSED_PATHS, "botocore/data/sqs", "botocore/data/endpoints.json"]
)
def test_a_version_with_other_files_fails_the_build(python: Path, moved: str) -> None:
    (python / moved).rename(python / "elsewhere")

    with pytest.raises(FileNotFoundError):
        prune(python)


def test_the_services_are_those_that_the_functions_may_call() -> None:
    statements = [
        statement
        for role in of_type(deployed(AvatarSource="s3://pictures/{sub}"), "AWS::IAM::Role").values()
        for policy in role["Properties"]["Policies"]
        for statement in policy["PolicyDocument"]["Statement"]
    ]
    actions = {action for each in statements for action in _as_list(each["Action"])}

    assert {action.partition(":")[0] for action in actions} - LAMBDA_CALLS == set(SERVICES)


def _as_list(value: str | list[str]) -> list[str]:
    return value if isinstance(value, list) else [value]
