"""The bill of materials of the built layers, in CycloneDX 1.6: what is in it, at which version, under which licence.

The packages are those of the build itself, with what is compiled into them (PEP 770).
"""

from collections.abc import Iterator
from importlib.metadata import Distribution, distributions
from pathlib import Path

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from tools.third_party_licenses import components, license_of
from whop_chat.runtime.version import VERSION

_LICENSES = LicenseFactory()


def bill_of_materials(*layers: Path) -> str:
    """The document, as JSON, of the packages in the folders ``layers``."""
    root = _component("whop-chat-auth", VERSION, "MIT", ComponentType.APPLICATION)
    found = distributions(path=[str(layer / "python") for layer in layers])
    packages = [_package(each) for each in sorted(found, key=lambda it: it.name)]
    bom = Bom(components=packages)
    bom.metadata.component = root
    bom.register_dependency(root, packages)
    return JsonV1Dot6(bom).output_as_string(indent=2)


def _package(package: Distribution) -> Component:
    name = package.name.replace("_", "-").lower()
    found = _component(
        name, package.version, license_of(package), purl=PackageURL("pypi", name=name, version=package.version)
    )
    found.components.update(_compiled_in(package))
    return found


def _compiled_in(package: Distribution) -> Iterator[Component]:
    for name, version, terms in components(package):
        yield _component(name, version, terms)


def _component(
    name: str, version: str, terms: str, kind: ComponentType = ComponentType.LIBRARY, purl: PackageURL | None = None
) -> Component:
    license_ = _LICENSES.make_from_string(terms)
    reference = str(purl) if purl else f"{name}@{version}"
    return Component(name=name, version=version, type=kind, licenses=[license_], purl=purl, bom_ref=reference)
