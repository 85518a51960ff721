"""``python -m local.dev``: keep the local stack up until Ctrl-C. The exit status is 1 if it cannot start."""

import argparse
import sys
from collections.abc import Sequence

from botocore.exceptions import ClientError

from local.dev.playground import Playground
from local.dev.running import PACKAGE_SOURCE, deploy, follow_sources, summary
from local.dev.server import served
from local.processes import HOST, ServerError, interruptible
from local.sam import EnvironmentMissingError, SamError
from local.stack import LocalStack
from local.whop_simulator.asgi import listen


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until Ctrl-C or SIGTERM; the exit status."""
    options = _parser().parse_args(arguments)
    cloud = LocalStack(package_source=PACKAGE_SOURCE)
    try:
        with interruptible(), cloud, listen(options.port) as listener:
            page = f"http://{HOST}:{listener.getsockname()[1]}"
            print("Building and starting the stack. This takes up to half a minute.", flush=True)
            deployment = deploy(cloud, [page, *options.origin])
            playground = Playground(cloud, deployment)
            with served(playground, listener):
                print(summary(cloud, deployment, page), flush=True)
                follow_sources(cloud, [page, *options.origin])
    except KeyboardInterrupt:
        print("\nStopped. Nothing is left running.")
        return 0
    except EnvironmentMissingError as error:
        print(f"\n{error}")
    except OSError as error:
        print(f"\nport {options.port}: {error.strerror}")
    except (ServerError, SamError, ClientError) as error:
        print(f"\n{error}\n\nThe logs of this run are in {cloud.folder}")
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make dev ARGS=…", description="Keep the local stack up until Ctrl-C.")
    parser.add_argument(
        "--origin",
        action="append",
        default=[],
        metavar="URL",
        help="a web origin that may call the API, such as http://localhost:5173; can be given several times",
    )
    parser.add_argument("--port", type=int, default=0, help="the page's port on 127.0.0.1; by default a free one")
    return parser


if __name__ == "__main__":
    sys.exit(main())
