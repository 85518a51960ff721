"""``make licenses``: writes THIRD_PARTY_LICENSES, the licences of everything that is packaged into the layer.

Names, versions, licences and their texts are those of the packages' own metadata, as installed in this environment. It
has the layer's versions (`requirements/dev.txt`).
"""

import json
import re
import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import Distribution, distribution
from pathlib import Path
from typing import Any

from tools.build.build import LOCK
from tools.build.prune import UNUSED_DISTRIBUTIONS

FILE = Path(__file__).parents[1] / "THIRD_PARTY_LICENSES"

_RULE = "=" * 80
_HEADER = """\
Licences of the packages in the layer

The layer of whop-chat-auth contains the packages below. `make licenses` writes this file from their metadata. The
licence of whop-chat-auth itself is in LICENSE.
"""
# The classifiers of https://pypi.org/classifiers/ as their SPDX identifiers, or the family where they name no more.
_OF_CLASSIFIERS = {
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD",
}
# Components whose bill of materials leaves the licence out: https://openssl-library.org/source/license/
_OF_COMPONENTS = {"openssl": "Apache-2.0"}


def packaged(lock: str) -> list[str]:
    """The names of the packages that a build leaves in the layer, in order, from the text of the layer's lock."""
    names = re.findall(r"^([a-z0-9-]+)==", lock, re.MULTILINE)
    return sorted(set(names) - set(UNUSED_DISTRIBUTIONS))


def license_of(package: Distribution) -> str:
    """The licence that a package names: an SPDX expression where it has one.

    Raises `LookupError` if it names none that this module understands.
    """
    metadata = package.metadata
    # Before License-Expression, many packages wrote an SPDX identifier into License, and others a sentence.
    stated = metadata.get("License-Expression") or metadata.get("License", "")
    if stated and (" " not in stated or "License-Expression" in metadata):
        return stated
    classified = [name.rpartition(" :: ")[2] for name in metadata.get_all("Classifier") or () if "License ::" in name]
    if classified:
        return " OR ".join(sorted(_OF_CLASSIFIERS[name] for name in classified))
    raise LookupError(f"{package.name} names no licence")


def license_texts(package: Distribution) -> Iterator[str]:
    """The texts of the licences and notices that a package brings."""
    named = set(package.metadata.get_all("License-File") or ())
    for file in sorted(package.files or ()):
        folder, *path = file.parts
        # Not every package names its files: some just have the folder of PEP 639.
        if folder.endswith(".dist-info") and ("/".join(path) in named or path[0] == "licenses"):
            yield file.read_text()


def components(package: Distribution) -> Iterator[tuple[str, str, str]]:
    """Name, version and licence of what is compiled into a package, by the bills of materials in it (PEP 770)."""
    # The build leaves no RECORD in the layer, so `package.files` is not known there.
    metadata = f"{package.name.replace('-', '_')}-{package.version}.dist-info"
    for file in sorted(Path(str(package.locate_file(metadata))).glob("sboms/*.json")):
        for component in json.loads(file.read_text())["components"]:
            yield component["name"], component["version"], _license_of_component(component)


def document(packages: list[Distribution]) -> str:
    """The file's text."""
    sections = (_section(package) for package in packages)
    return "\n".join([_HEADER, *sections])


def main() -> None:
    """Write the file."""
    FILE.write_text(document([distribution(name) for name in packaged(LOCK.read_text())]))
    sys.stdout.write(f"wrote {FILE.name}\n")


def _license_of_component(component: Mapping[str, Any]) -> str:
    expressions = [each["expression"] for each in component.get("licenses", ())]
    return " AND ".join(expressions) or _OF_COMPONENTS[component["name"]]


def _section(package: Distribution) -> str:
    title = f"{package.name} {package.version}\nLicence: {license_of(package)}\n"
    compiled_in = "".join(f"  {name} {version}: {terms}\n" for name, version, terms in components(package))
    parts = [f"Compiled into it:\n{compiled_in}"] if compiled_in else []
    parts += [text.strip("\n") + "\n" for text in license_texts(package)]
    return f"{_RULE}\n{title}{_RULE}\n\n" + "\n".join(parts)


if __name__ == "__main__":
    main()
