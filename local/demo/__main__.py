"""``python -m local.demo``: run the demo. The exit status is 1 if a step fails, and 130 if the demo is interrupted."""

import sys
import time

from botocore.exceptions import ClientError
from rich.console import Console

from local.demo.console import StepPrinter
from local.demo.steps import Demo, UnexpectedError
from local.processes import ServerError, interruptible
from local.sam import EnvironmentMissingError, SamError
from local.stack import LocalStack


def main() -> int:
    """Run the demo; the exit status."""
    cloud, begun = LocalStack(), time.monotonic()
    try:
        with interruptible(), cloud:
            Demo(cloud, StepPrinter(Console())).run()
    except KeyboardInterrupt:
        print("\nstopped")
        return 130
    except EnvironmentMissingError as error:
        print(f"\n{error}")
        return 1
    except (UnexpectedError, ServerError, SamError, ClientError, TimeoutError) as error:
        print(f"\n{error}\n\nThe logs of this run are in {cloud.folder}")
        return 1
    print(f"\n  Every step succeeded, in {time.monotonic() - begun:.0f} s. Nothing is left running.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
