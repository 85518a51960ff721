"""The samconfig of docs/deploy.md: with its five lines ``sam deploy`` asks nothing."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

from local.sam import FAKE_KEYS, REGION, ROOT, interpreter
from local.stack import LocalStack
from whop_chat.runtime.version import VERSION


def _five_lines() -> str:
    found = re.search(
        r"^```toml\n(\[default\..*?)^```$", (ROOT / "docs" / "deploy.md").read_text(), re.MULTILINE | re.DOTALL
    )
    assert found is not None
    assert len(found[1].splitlines()) == 5
    return found[1]


def _sam(cloud: LocalStack, folder: Path, lines: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """What the SAM CLI does with these lines, and with nobody there to answer a question."""
    config, state = folder / "samconfig.toml", folder / "state"
    config.write_text(f"{(ROOT / 'samconfig.toml').read_text()}\n{lines}")
    state.mkdir(exist_ok=True)
    # A fresh state folder would ask the package index for a newer version.
    (state / "metadata.json").write_text(json.dumps({"lastVersionCheck": time.time()}))
    return subprocess.run(
        [str(interpreter("sam")), "-m", "samcli", *arguments, "--config-file", str(config)],
        cwd=ROOT,
        env={
            "PATH": f"{Path(sys.base_prefix) / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "LANG": "C.UTF-8",
            "NO_PROXY": "127.0.0.1",
            **FAKE_KEYS,
            "AWS_ENDPOINT_URL": cloud.emulator_url,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "SAM_CLI_TELEMETRY": "0",
            "SAM_CLI_POLL_DELAY": "0.2",
            "__SAM_CLI_APP_DIR": str(state),
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


# As long as CloudFormation allows: 128 characters.
_LONG_NAME = "five-lines-" + "x" * 117


def test_the_five_lines_of_the_documents_deploy_a_stack_without_a_question(cloud: LocalStack, tmp_path: Path) -> None:
    lines = _five_lines().replace('"whop-chat"', f'"{_LONG_NAME}"')

    done = _sam(cloud, tmp_path, lines, "deploy", "--template-file", str(cloud.build()))

    assert done.returncode == 0, done.stderr
    assert cloud.http.get(f"{cloud.describe(_LONG_NAME).api_url}/health").json() == {"status": "ok", "version": VERSION}


def test_a_list_that_sam_cuts_at_a_space_is_refused(cloud: LocalStack, tmp_path: Path) -> None:
    lines = (
        _five_lines()
        .replace('"whop-chat"', '"cut-list"')
        .replace('["Allowed', '["DeniedGroups=banned, spammers", "Allowed')
    )

    done = _sam(cloud, tmp_path, lines, "deploy", "--template-file", str(cloud.build()))

    assert done.returncode != 0
    assert "DeniedGroups has an empty entry" in done.stdout + done.stderr
