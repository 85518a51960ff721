"""``make licenses``: writes THIRD_PARTY_LICENSES, the licences of everything that is packaged into the layers.

Names, versions, licences and their texts are those of the packages' own metadata, as installed in this environment. It
has the layers' versions (`requirements/dev.txt`).
"""

import json
import re
import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import Distribution, distribution
from pathlib import Path
from typing import Any

from tools.build.build import LOCK, ROOT
from tools.build.prune import UNUSED_DISTRIBUTIONS

FILE = ROOT / "THIRD_PARTY_LICENSES"
LOCKS = (LOCK, ROOT / "layers" / "pillow" / LOCK.name)

_RULE = "=" * 80
_HEADER = """\
Licences of the packages in the layers

The layers of whop-chat-auth contain the packages below. Only a stack with AvatarSource has the layer with Pillow.
`make licenses` writes this file from their metadata. The licence of whop-chat-auth itself is in LICENSE.
"""
# The classifiers of https://pypi.org/classifiers/ as their SPDX identifiers, or the family where they name no more.
_OF_CLASSIFIERS = {
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD",
}
# Components whose bill of materials leaves the licence out: https://openssl-library.org/source/license/
# https://gitlab.freedesktop.org/xorg/lib/libxau/-/blob/master/COPYING
_OF_COMPONENTS = {"openssl": "Apache-2.0", "libXau": "MIT-open-group"}
# A bill of materials also lists what a package can be built with. Pillow's wheels are built without these two.
_NOT_IN_WHEELS = {"FriBiDi", "libimagequant"}


def packaged() -> list[str]:
    """The names of the packages that a build leaves in the layers, in order, from their locks."""
    names = [name for lock in LOCKS for name in re.findall(r"^([a-z0-9-]+)==", lock.read_text(), re.MULTILINE)]
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
            if _is_compiled_in(component, package):
                yield component["name"], component.get("version", ""), _license_of_component(component)


def document(packages: list[Distribution]) -> str:
    """The file's text."""
    sections = (_section(package) for package in packages)
    return "\n".join([_HEADER, *sections])


def main() -> None:
    """Write the file."""
    FILE.write_text(document([distribution(name) for name in packaged()]))
    sys.stdout.write(f"wrote {FILE.name}\n")


def _is_compiled_in(component: Mapping[str, Any], package: Distribution) -> bool:
    return component.get("scope") != "excluded" and component["name"] not in {*_NOT_IN_WHEELS, package.name}


def _license_of_component(component: Mapping[str, Any]) -> str:
    expressions = [each.get("expression") or each["license"]["id"] for each in component.get("licenses", ())]
    return " AND ".join(expressions) or _OF_COMPONENTS[component["name"]]


def _section(package: Distribution) -> str:
    title = f"{package.name} {package.version}\nLicence: {license_of(package)}\n"
    compiled_in = "".join(f"  {f'{name} {version}'.strip()}: {terms}\n" for name, version, terms in components(package))
    parts = [f"Compiled into it:\n{compiled_in}"] if compiled_in else []
    parts += [text.strip("\n") + "\n" for text in license_texts(package)]
    return f"{_RULE}\n{title}{_RULE}\n\n" + "\n".join(parts)


if __name__ == "__main__":
    main()
