"""What `sam build` makes: complete, the same each time, valid on Lambda, and in use after a change in the layer.

The SAM CLI runs on a copy of the sources. The wheels come from the cache of earlier builds; only the very first build
of a lock installs them.
"""

import hashlib
import importlib.util
import json
import marshal
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from types import CodeType
from typing import Any

import pytest

from tests.fakes.source_tree import CACHE, copy_sources
from tests.template.translation import ROOT, of_type, template, translated
from tests.unit.test_settings import AVATAR_ENV, AWS_ENV, ENV, OAUTH_ENV

SAM = ROOT / ".venv" / "sam" / "bin" / "python"
ARCHITECTURE = "arm64" if platform.machine() in {"arm64", "aarch64"} else "x86_64"
FUNCTIONS = {
    "MintTokenFunction": "mint_token",
    "WhopOauthFunction": "whop_oauth",
    "OnSignupFunction": "on_signup",
    "SyncUserFunction": "sync_user",
    "ReconcileFunction": "reconcile",
    "CheckReadinessFunction": "check_readiness",
    "SyncAvatarFunction": "sync_avatar",
    "FetchPictureFunction": "fetch_picture",
}
LAYERS = {"WhopChatLayer", "PillowLayer"}


def _build(tree: Path, name: str) -> Path:
    """Builds `tree` into a folder `name` beside the other builds."""
    built = tree / ".aws-sam" / name
    command = [str(SAM), "-m", "samcli", "build", "--build-dir", str(built)]
    done = subprocess.run(
        [*command, "--parameter-overrides", f"Architecture={ARCHITECTURE}"],
        cwd=tree,
        env={
            **{key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "MAKE", "PYTHON"))},
            # the interpreter that this environment was made from: a real one, first on PATH
            "PATH": f"{Path(sys.base_prefix) / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "SAM_CLI_TELEMETRY": "0",
            "AWS_DEFAULT_REGION": "us-east-1",
            "__SAM_CLI_APP_DIR": str(tree / ".aws-sam" / "state"),
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    if not (ROOT / CACHE).is_dir():
        shutil.copytree(tree / CACHE, ROOT / CACHE)
    return built


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_sources(tmp_path_factory.mktemp("tree"))


@pytest.fixture(scope="module")
def built(tree: Path) -> Path:
    return _build(tree, "first")


def _files(folder: Path) -> dict[str, bytes]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def _deployed(built: Path) -> tuple[dict[str, str], str]:
    """The layer of each function, and the version that the alias names, as a deployment of `built` would have them.

    `sam package` names an object after the content of the folder, here a hash of it does the same.
    """
    contents = {name: hashlib.sha256(repr(_files(built / name)).encode()).hexdigest() for name in [*FUNCTIONS, *LAYERS]}
    resources = translated(contents)["Resources"]
    (alias,) = of_type(resources, "AWS::Lambda::Alias").values()
    layers = {name: resources[name]["Properties"]["Layers"][0]["Ref"] for name in FUNCTIONS}
    return layers, alias["Properties"]["FunctionVersion"]["Fn::GetAtt"][0]


def test_every_function_of_the_template_is_built(built: Path) -> None:
    functions = of_type(template()["Resources"], "AWS::Serverless::Function")

    assert {path.name for path in built.iterdir() if path.is_dir()} == {*functions, *LAYERS}
    assert functions.keys() == FUNCTIONS.keys()


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_is_its_handler_its_bytecode_and_the_hash_of_the_layer(built: Path, function: str) -> None:
    alone = function in ("MintTokenFunction", "CheckReadinessFunction")
    modules = {"app", "own_accounts"} if alone else {"app"}
    names = {name for each in modules for name in (f"{each}.py", f"__pycache__/{each}.cpython-313.pyc")}

    assert _files(built / function).keys() == {*names, "layer.sha256"}
    assert (built / function / "app.py").read_bytes() == (
        ROOT / "functions" / FUNCTIONS[function] / "app.py"
    ).read_bytes()


def test_the_layer_is_the_package_and_what_it_needs_and_nothing_for_developers(built: Path) -> None:
    layer = built / "WhopChatLayer"
    names = {path.name.split("-")[0].split(".")[0] for path in (layer / "python").iterdir()} - {"__pycache__"}

    assert {path.name for path in layer.iterdir()} == {"python", "ca-certificates"}
    assert {"whop_chat", "aws_lambda_powertools", "boto3", "botocore", "certifi", "cryptography", "httpx"} <= names
    assert not names & {"anyio", "pycparser", "pydantic", "whop_sdk"}
    assert not names & {"local", "tests", "whop_simulator", "bin", "pip"}


# The functions ask for things as soon as they are imported.
NOBODY = {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}
# Each costs every cold start tens of milliseconds; boto3 the most.
# (Powertools imports botocore itself, to name itself in its user agent; that is a millisecond.)
HEAVY = {"pydantic", "jwt", "whop_sdk", "aws_xray_sdk", "anyio", "httpx._main", "h2", "socksio"}


@pytest.mark.parametrize(("logical_id", "module"), FUNCTIONS.items())
def test_a_handler_imports_nothing_heavy(built: Path, logical_id: str, module: str) -> None:
    assert HEAVY.isdisjoint(_imported(built, logical_id, module))


def test_the_trigger_starts_without_httpx_and_boto3(built: Path) -> None:
    """Each costs its start more than a tenth."""
    assert {"httpx", "httpcore", "boto3"}.isdisjoint(_imported(built, "OnSignupFunction", "on_signup"))


def test_where_no_token_is_kept_minting_does_not_import_what_keeps_them(built: Path) -> None:
    keeping = {
        "whop_chat.minting.fallback",
        "whop_chat.minting.token_cache",
        "cryptography.hazmat.primitives.ciphers.aead",
    }

    assert keeping.isdisjoint(_imported(built, "MintTokenFunction", "mint_token"))


@pytest.mark.parametrize("function", ["MintTokenFunction", "SyncUserFunction", "ReconcileFunction"])
def test_where_nobody_links_an_account_nothing_of_oauth_is_imported(built: Path, function: str) -> None:
    found = _imported(built, function, FUNCTIONS[function])

    assert not [name for name in found if name.startswith(("whop_chat.oauth", "joserfc"))]


@pytest.mark.parametrize(("logical_id", "module"), list(FUNCTIONS.items())[:4])
def test_no_other_function_imports_what_pictures_need(built: Path, logical_id: str, module: str) -> None:
    imported = _imported(built, logical_id, module)

    assert not [each for each in imported if each.startswith(("PIL", "whop_chat.avatars", "whop_chat.pictures"))]


WAITED_FOR = [("MintTokenFunction", "mint_token"), ("OnSignupFunction", "on_signup")]


def _imported(built: Path, logical_id: str, service: str) -> set[str]:
    return set(_after_import(built, logical_id, service, "import sys; found = list(sys.modules)"))


def _after_import(built: Path, logical_id: str, service: str, look: str) -> list[Any]:
    """By the handler, in the interpreter that stands for Lambda's, in the template's environment."""
    script = f"import json; import app; {look}; print(json.dumps(found))"
    layers = LAYERS if logical_id == "FetchPictureFunction" else LAYERS - {"PillowLayer"}
    path = os.pathsep.join([str(built / logical_id), *(str(built / layer / "python") for layer in sorted(layers))])
    linking = OAUTH_ENV if service == "whop_oauth" else {}
    known = {**AWS_ENV, **ENV, **AVATAR_ENV, **linking, **NOBODY}
    done = subprocess.run(
        [str(ROOT / ".venv" / "lambda" / "bin" / "python"), "-c", script],
        env={**known, "POWERTOOLS_SERVICE_NAME": service, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    found: list[Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("logical_id", FUNCTIONS)
def test_layer_and_function_are_small(built: Path, logical_id: str) -> None:
    """At most 34 MiB unzipped, bytecode included: Lambda fetches and unpacks it before each cold start."""
    files = [path for name in (logical_id, "WhopChatLayer") for path in (built / name).rglob("*") if path.is_file()]

    assert any(path.suffix == ".pyc" for path in files)
    assert sum(path.stat().st_size for path in files) <= 34 * 1024 * 1024


@pytest.mark.parametrize("roots", ["aws", "mozilla"])
def test_the_package_finds_the_directory_of_roots_beside_it(built: Path, roots: str) -> None:
    """With the bundle, every root would have been read by now."""
    layer = built / "WhopChatLayer"
    script = f"from whop_chat.runtime import http; print(http._CA_DIRECTORY, http._tls({roots!r}).cert_store_stats())"
    done = subprocess.run(
        [str(ROOT / ".venv" / "lambda" / "bin" / "python"), "-c", script],
        env={"PYTHONPATH": str(layer / "python")},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.split() == f"{layer / 'ca-certificates'} {{'x509': 0, 'crl': 0, 'x509_ca': 0}}".split()


def test_the_package_is_whole(built: Path) -> None:
    package = ROOT / "layers" / "whop_chat" / "whop_chat"
    sources = {name for name in _files(package) if "__pycache__" not in name}

    assert {
        name for name in _files(built / "WhopChatLayer" / "python" / "whop_chat") if "__pycache__" not in name
    } == sources


def _bytecode_of(source: Path) -> bytes:
    return Path(importlib.util.cache_from_source(str(source))).read_bytes()


@pytest.mark.parametrize(("folder", "on_lambda"), [("WhopChatLayer", "/opt"), ("MintTokenFunction", "/var/task")])
def test_every_module_has_bytecode_that_lambda_does_not_check_against_the_clock(
    built: Path, folder: str, on_lambda: str
) -> None:
    sources = list((built / folder).rglob("*.py"))

    assert sources
    for source in sources:
        magic, flags, digest, code = _parts(_bytecode_of(source))
        assert magic == importlib.util.MAGIC_NUMBER
        assert flags == 0b01  # by hash, unchecked
        assert digest == importlib.util.source_hash(source.read_bytes())
        assert code.co_filename == f"{on_lambda}/{source.relative_to(built / folder).as_posix()}"


def _parts(bytecode: bytes) -> tuple[bytes, int, bytes, CodeType]:
    """https://peps.python.org/pep-0552/"""
    code = marshal.loads(bytecode[16:])  # noqa: S302 - written by the build above
    assert isinstance(code, CodeType)
    return bytecode[:4], int.from_bytes(bytecode[4:8], "little"), bytecode[8:16], code


def test_nothing_in_a_build_names_this_machine(built: Path, tree: Path) -> None:
    places = [str(place).encode() for place in (ROOT, tree, sys.prefix, sys.base_prefix)]

    assert [name for name, content in _files(built).items() if any(place in content for place in places)] == []


def test_an_unchanged_build_is_the_same_to_the_byte_and_publishes_nothing(built: Path, tree: Path) -> None:
    again = _build(tree, "again")

    assert _files(again) == _files(built)
    assert _deployed(again) == _deployed(built)


def test_one_changed_line_in_the_layer_reaches_every_function(built: Path, tmp_path: Path) -> None:
    clone = copy_sources(tmp_path)
    with (clone / "layers" / "whop_chat" / "whop_chat" / "__init__.py").open("a") as module:
        module.write("\n# one line more\n")
    changed = _build(clone, "changed")

    before, after = _files(built), _files(changed)
    differing = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    assert differing == {
        "WhopChatLayer/python/whop_chat/__init__.py",
        "WhopChatLayer/python/whop_chat/__pycache__/__init__.cpython-313.pyc",
        *(f"{function}/layer.sha256" for function in FUNCTIONS),
    }
    (layers, version), (changed_layers, changed_version) = _deployed(built), _deployed(changed)
    assert {name for name in FUNCTIONS if layers[name] != changed_layers[name]} == set(FUNCTIONS)
    assert version != changed_version
