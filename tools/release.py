"""``make dist``: what a release attaches, in dist/.

- `whop-chat-auth-<version>-<architecture>.zip`: the built stack with the licences, ready for `sam deploy`
- `whop-chat-auth-<version>-<architecture>.cdx.json`: the bill of materials of its layer
- `THIRD_PARTY_LICENSES`
- `SHA256SUMS`: a checksum for each of the others, as `sha256sum --check` reads them
- `NOTES.md`: what CHANGELOG.md says about the version

`make dist` builds both stacks before, into `.aws-sam/<architecture>`.
"""

import argparse
import hashlib
import re
import shutil
import sys
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import yaml

from tools.build.build import MACHINES
from tools.sbom import bill_of_materials
from whop_chat.runtime.version import VERSION

ROOT = Path(__file__).parents[1]
LICENSES = ("LICENSE", "THIRD_PARTY_LICENSES")
# The earliest that a zip can hold, so that the same content is the same archive.
_DATE = (1980, 1, 1, 0, 0, 0)
_FILE_MODE = 0o644 << 16


class NoSuchRelease(Exception):
    """The version or tag is not that of the sources."""


def notes(changelog: str, version: str) -> str:
    """What ``changelog`` says about ``version``, without the heading.

    Raises `NoSuchRelease` if it says nothing.
    """
    found = re.search(rf"^## \[{re.escape(version)}\][^\n]*\n(.*?)(?=^## |\Z)", changelog, re.MULTILINE | re.DOTALL)
    if not found or not found[1].strip():
        raise NoSuchRelease(f"CHANGELOG.md says nothing about {version}")
    return found[1].strip() + "\n"


def write_archive(built: Path, target: Path, architecture: str) -> None:
    """Write the stack that `sam build` left in ``built``, and the licences, into the zip ``target``.

    The template in it accepts only the architecture that it was built for.
    """
    with ZipFile(target, "w", ZIP_DEFLATED) as archive:
        for path in sorted(path for path in built.rglob("*") if path.is_file()):
            name = path.relative_to(built).as_posix()
            content = path.read_bytes()
            _add(archive, name, for_one_architecture(content, architecture) if name == "template.yaml" else content)
        for name in LICENSES:
            _add(archive, name, (ROOT / name).read_bytes())


def for_one_architecture(template: bytes, architecture: str) -> bytes:
    """The built ``template`` with ``architecture`` as the only value of its parameter `Architecture`.

    With another value, Lambda would start functions whose compiled packages are for another processor.
    """
    document = yaml.safe_load(template)  # `sam build` writes the long form of every function, so no tag is left.
    document["Parameters"]["Architecture"] |= {"Default": architecture, "AllowedValues": [architecture]}
    return yaml.safe_dump(document, sort_keys=False, width=120).encode()


def checksums(folder: Path) -> str:
    """A line for each file in ``folder``, as `sha256sum` writes it."""
    return "".join(
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in sorted(folder.iterdir())
    )


def write_release(builds: Path, target: Path, *, tag: str | None = None) -> None:
    """Write the files of the release into ``target``, from the builds in ``builds/<architecture>``.

    Raises `NoSuchRelease` if ``tag`` is not that of `VERSION`, or if CHANGELOG.md says nothing about it.
    """
    if tag not in (None, f"v{VERSION}"):
        raise NoSuchRelease(f"the tag {tag} is not v{VERSION}")
    text = notes((ROOT / "CHANGELOG.md").read_text(), VERSION)
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    for architecture in MACHINES:
        name = f"whop-chat-auth-{VERSION}-{architecture}"
        write_archive(builds / architecture, target / f"{name}.zip", architecture)
        layers = [builds / architecture / layer for layer in ("WhopChatLayer", "PillowLayer")]
        (target / f"{name}.cdx.json").write_text(bill_of_materials(*layers))
    shutil.copy(ROOT / "THIRD_PARTY_LICENSES", target)
    (target / "SHA256SUMS").write_text(checksums(target))
    (target / "NOTES.md").write_text(text)


def main() -> None:
    """Command line: `python -m tools.release [--tag TAG]`."""
    parser = argparse.ArgumentParser(prog="make dist")
    parser.add_argument("--tag", help="fail unless the tag is that of the version")
    asked = parser.parse_args()
    try:
        write_release(ROOT / ".aws-sam", ROOT / "dist", tag=asked.tag)
    except NoSuchRelease as error:
        sys.exit(str(error))


def _add(archive: ZipFile, name: str, content: bytes) -> None:
    entry = ZipInfo(name, _DATE)
    entry.external_attr = _FILE_MODE
    entry.compress_type = ZIP_DEFLATED
    archive.writestr(entry, content)


if __name__ == "__main__":
    main()
