"""Starts the emulator: settings first, because MiniStack reads them at import, then the patches, then the server."""

import os
import sys
from collections.abc import MutableMapping
from importlib.metadata import version

from local.emulator import TESTED

LOOPBACK_ONLY = {
    "BIND_HOST": "127.0.0.1",  # stock: 0.0.0.0
    "MINISTACK_HOST": "127.0.0.1",
    "IOT_MTLS_ENABLED": "0",  # stock: listens on 0.0.0.0:8883
    "SFTP_ENABLED": "0",
}
# MiniStack passes its whole environment on to the handlers. These would send their AWS calls elsewhere.
NOT_FOR_HANDLERS = ("AWS_CA_BUNDLE", "AWS_ENDPOINT_URL", "AWS_PROFILE", "PYTHONPATH")


def prepare(environment: MutableMapping[str, str]) -> None:
    """Bind to the loopback only, and remove the variables that must not reach a function."""
    environment.update(LOOPBACK_ONLY)
    for name in NOT_FOR_HANDLERS:
        environment.pop(name, None)


def main() -> None:
    """Serve until SIGTERM."""
    found = version("ministack")
    if found != TESTED:
        sys.exit(f"local.emulator is written for ministack {TESTED}, and {found} is installed")
    prepare(os.environ)

    from ministack import app

    from local.emulator import cloudformation, cloudtrail, cognito, dynamodb, functions, http_api, iam, web_pages

    for service in (functions, http_api, cognito, cloudtrail, cloudformation, dynamodb, iam, web_pages):
        service.install()
    app.main()


if __name__ == "__main__":
    main()
