"""THIRD_PARTY_LICENSES names what the layer contains, and each licence allows us to package it."""

import re
from importlib.metadata import distribution
from pathlib import Path

import pytest
from PIL import features

from tests.tools.build.test_toolchain import LAYER_LOCK, PILLOW_LOCK, pins
from tools import third_party_licenses
from tools.build.prune import UNUSED_DISTRIBUTIONS
from tools.third_party_licenses import FILE, components, document, license_of, license_texts, packaged

PACKAGES = packaged()
# Each allows distribution in a work under other terms. MPL-2.0 asks for the source of its own files, which are Python.
PERMISSIVE = {
    *("Apache-2.0", "BSD", "BSD-2-Clause", "BSD-3-Clause", "0BSD", "MIT", "MIT-0", "MPL-2.0", "PSF-2.0", "Unicode-3.0"),
    # What Pillow is and brings.
    *("MIT-CMU", "MIT-open-group", "FTL", "IJG", "libtiff", "X11", "Zlib"),
}
EXCEPTION = " WITH LLVM-exception"

each_package = pytest.mark.parametrize("name", PACKAGES)


def is_permissive(expression: str) -> bool:
    """Whether one alternative of each part of an SPDX expression is permissive."""
    parts = expression.replace(EXCEPTION, "").replace("(", "").replace(")", "").split(" AND ")
    return all(set(part.split(" OR ")) & PERMISSIVE for part in parts)


def test_the_file_is_what_the_metadata_says() -> None:
    assert FILE.read_text() == document([distribution(name) for name in PACKAGES]), "run `make licenses`"


def test_the_file_names_the_versions_of_the_lock_and_nothing_else() -> None:
    listed = dict(re.findall(r"^=+\n(\S+) (\S+)\nLicence: ", FILE.read_text(), re.MULTILINE))
    both = pins(LAYER_LOCK) | pins(PILLOW_LOCK)
    locked = {name: version for name, (version, _) in both.items() if name not in UNUSED_DISTRIBUTIONS}

    assert {name.replace("_", "-"): version for name, version in listed.items()} == locked


@each_package
def test_a_package_brings_the_text_of_a_permissive_licence(name: str) -> None:
    assert is_permissive(license_of(distribution(name)))
    assert list(license_texts(distribution(name)))


@each_package
def test_what_is_compiled_into_a_package_has_a_permissive_licence(name: str) -> None:
    assert [each for each in components(distribution(name)) if not is_permissive(each[2])] == []


def test_openssl_is_listed_because_it_is_compiled_into_cryptography() -> None:
    assert "openssl" in {name for name, _, _ in components(distribution("cryptography"))}


@pytest.mark.parametrize("feature", ["libimagequant", "fribidi"])
def test_the_libraries_that_pillow_names_and_does_not_bring_are_not_there(feature: str) -> None:
    """The first is under the GPL, the second under the LGPL. Pillow's wheels are built without them."""
    libraries = [file.name.lower() for file in distribution("pillow").files or () if "pillow.libs" in str(file)]

    assert libraries
    assert not [name for name in libraries if feature.removeprefix("lib") in name]
    assert not features.check("libimagequant")


def test_a_licence_that_binds_the_whole_work_is_noticed() -> None:
    assert not is_permissive("GPL-3.0-only")
    assert not is_permissive("MIT AND AGPL-3.0-only")
    assert is_permissive("Apache-2.0 OR GPL-2.0-only")


def test_the_command_writes_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(third_party_licenses, "FILE", tmp_path / FILE.name)
    third_party_licenses.main()

    assert (tmp_path / FILE.name).read_text() == FILE.read_text()
