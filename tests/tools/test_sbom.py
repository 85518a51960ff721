"""The bill of materials of a layer: valid, complete, and with what is compiled in."""

import json
import shutil
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from tests.tools.build.test_toolchain import LAYER_LOCK, PILLOW_LOCK, pins
from tools.build.prune import UNUSED_DISTRIBUTIONS
from tools.sbom import bill_of_materials
from whop_chat.runtime.version import VERSION

# The schemas that the library brings.
SCHEMAS = files("cyclonedx.schema") / "_res"


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The bill of a folder with the metadata of the layer's packages, as they are installed here."""
    layer = tmp_path_factory.mktemp("layer")
    installed = next(Path(each) for each in sys.path if (Path(each) / "cryptography").is_dir())
    (layer / "python").mkdir()
    for name in (pins(LAYER_LOCK) | pins(PILLOW_LOCK)).keys() - set(UNUSED_DISTRIBUTIONS):
        (metadata,) = installed.glob(f"{name.replace('-', '[-_]')}-[0-9]*.dist-info")
        # As the build does, without the list of files.
        shutil.copytree(metadata, layer / "python" / metadata.name, ignore=shutil.ignore_patterns("RECORD"))
    return json.loads(bill_of_materials(layer))


def schema(name: str) -> Any:
    return json.loads((SCHEMAS / name).read_text())


def test_it_is_cyclonedx(document: Any) -> None:
    others = [f"{name}.SNAPSHOT.schema.json" for name in ("spdx", "jsf-0.82", "cryptography-defs")]
    bom = schema("bom-1.6.SNAPSHOT.schema.json")
    # The bill's schema names the others relative to its own address. Nothing is fetched from there.
    registry = jsonschema_rs.Registry([(f"http://cyclonedx.org/schema/{other}", schema(other)) for other in others])
    validator = jsonschema_rs.validator_for(bom, registry=registry)

    assert [error.message for error in validator.iter_errors(document)] == []


def test_it_lists_the_packages_of_the_lock_with_their_versions(document: Any) -> None:
    both = pins(LAYER_LOCK) | pins(PILLOW_LOCK)
    locked = {name: version for name, (version, _) in both.items() if name not in UNUSED_DISTRIBUTIONS}

    assert {each["name"]: each["version"] for each in document["components"]} == locked
    assert all(each["purl"] == f"pkg:pypi/{each['name']}@{each['version']}" for each in document["components"])
    assert all(each["licenses"] for each in document["components"])


def test_it_is_about_this_version(document: Any) -> None:
    about = document["metadata"]["component"]

    assert (about["name"], about["version"], about["type"]) == ("whop-chat-auth", VERSION, "application")


def test_it_lists_the_openssl_that_is_compiled_into_cryptography(document: Any) -> None:
    (cryptography,) = [each for each in document["components"] if each["name"] == "cryptography"]

    assert "openssl" in {each["name"] for each in cryptography["components"]}


def test_it_lists_the_decoders_that_are_compiled_into_pillow(document: Any) -> None:
    (pillow,) = [each for each in document["components"] if each["name"] == "pillow"]
    inside = {each["name"] for each in pillow["components"]}

    assert {"libwebp", "libjpeg / libjpeg-turbo", "zlib"} <= inside
    assert not {"FriBiDi", "libimagequant", "pybind11", "pillow"} & inside
