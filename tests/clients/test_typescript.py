"""clients/typescript: the cases, the adapters, the types, and the size."""

import gzip
import json
import re
import shutil
import tarfile
from pathlib import Path

import pytest

from tests.clients.runner import CLIENTS, NAMES, run, succeeded

CLIENT = CLIENTS / "typescript"
MODULES = CLIENT / "node_modules"
CORE = CLIENT / "src" / "chat-tokens.js"
KIB = 1024

NODE = shutil.which("node") or ""
needs_node = pytest.mark.skipif(not NODE, reason="node is not here: the TypeScript client is not run")
needs_packages = pytest.mark.skipif(
    not NODE or not (MODULES / ".ready").exists(), reason="node's packages are not here: `make clients` installs them"
)


@needs_node
def test_every_case_is_run() -> None:
    assert succeeded(run([NODE, "test/cases.js"], CLIENT)) == NAMES


@needs_packages
def test_the_adapters_and_hooks_do_what_they_say() -> None:
    tests = sorted((CLIENT / "test").glob("*.test.js"))

    report = run([NODE, "--test", "--test-reporter=tap", *tests], CLIENT)

    assert re.findall(r"^# (?:skipped|todo) [^0]", report, re.MULTILINE) == []


@needs_packages
def test_the_types_are_strict_and_fit_whops_packages() -> None:
    compiler = MODULES / "typescript" / "bin" / "tsc"

    run([NODE, compiler], CLIENT)
    run([NODE, compiler, "-p", "test/types"], CLIENT)


@needs_packages
@pytest.mark.parametrize("adapter", ["pull", "push"])
def test_the_core_and_an_adapter_are_small(adapter: str, tmp_path: Path) -> None:
    entry = tmp_path / "entry.js"
    entry.write_text(f'export * from "{CORE}"; export * from "{CORE.with_name(adapter)}.js";')

    bundle = run([MODULES / ".bin" / "esbuild", entry, "--bundle", "--minify", "--format=esm"], CLIENT)

    assert len(gzip.compress(bundle.encode())) <= 3 * KIB


@needs_packages
def test_the_tarball_of_a_release_is_complete(tmp_path: Path) -> None:
    [packed] = json.loads(run([shutil.which("npm") or "", "pack", "--json", "--pack-destination", tmp_path], CLIENT))
    with tarfile.open(tmp_path / packed["filename"]) as tarball:
        tarball.extractall(tmp_path / "node_modules", filter="data")
    package = tmp_path / "node_modules" / "whop-chat-auth-client"
    (tmp_path / "node_modules" / "package").rename(package)
    (tmp_path / "app.mjs").write_text(
        'import { ChatTokens } from "whop-chat-auth-client"; import { pullToken } from "whop-chat-auth-client/pull";'
        'import { pushToken } from "whop-chat-auth-client/push"; console.log(ChatTokens.name, pullToken, pushToken);'
    )

    assert run([NODE, "app.mjs"], tmp_path).startswith("ChatTokens")
    exports = json.loads((package / "package.json").read_text())["exports"]
    assert [path for each in exports.values() for path in each.values() if not (package / path).exists()] == []


def test_the_core_is_one_file() -> None:
    assert not re.search(r"^\s*(import|export .* from)\b", CORE.read_text(), re.MULTILINE)


@pytest.mark.parametrize("source", list((CLIENT / "src").glob("*.js")), ids=lambda path: path.name)
def test_nothing_is_stored(source: Path) -> None:
    assert not re.search(r"localStorage|sessionStorage|indexedDB|cookie|caches\.", source.read_text())


def test_nobody_can_publish_the_package_and_it_brings_no_other() -> None:
    package = json.loads((CLIENT / "package.json").read_text())

    assert package["private"]
    assert "/" not in package["name"]
    assert "dependencies" not in package


def test_each_line_about_elements_names_its_evidence() -> None:
    lines = (CLIENT / "test" / "types" / "whop-elements-1.10.d.ts").read_text().splitlines()
    members = [line for line in lines if re.match(r"\s+(export (function|type)|[a-zA-Z]+\??:|[a-z]+\()", line)]

    assert len(members) > 10
    assert [line for line in members if not re.search(r"// \[|\{$", line)] == []
