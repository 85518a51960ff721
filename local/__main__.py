"""``python -m local``: AWS and Whop on this machine, empty, until Ctrl-C. docs/local.md says what to do with them."""

import secrets
import shlex
import signal
import sys

from local.processes import ServerError, interruptible
from local.sam import ROOT, EnvironmentMissingError, architecture
from local.stack import LocalStack
from local.whop_simulator import DEFAULT_COMPANY

ENVIRONMENT = ROOT / ".local" / "environment"
API_KEY = ROOT / ".local" / "whop-api-key.txt"


def main() -> int:
    """Serve until an interrupt; the exit status, which is 1 if a server does not start."""
    cloud = LocalStack()
    try:
        with interruptible(), cloud:
            cloud.start()
            _write(cloud)
            print(_WELCOME, flush=True)
            signal.pause()
    except KeyboardInterrupt:
        print("\nstopped")
    except (EnvironmentMissingError, ServerError) as error:
        print(f"\n{error}")
        return 1
    finally:
        ENVIRONMENT.unlink(missing_ok=True)
        API_KEY.unlink(missing_ok=True)
    return 0


def _write(cloud: LocalStack) -> None:
    """Write what another terminal needs: the variables, and a key that the simulator accepts."""
    key = f"apik_{secrets.token_urlsafe(24)}"
    cloud.whop.add_key(key)
    API_KEY.write_text(key)
    # The local cloud has one company, and functions can reach the simulator only.
    parameters = {"WhopBaseUrl": cloud.whop_url, "WhopCompanyId": DEFAULT_COMPANY, "Architecture": architecture()}
    variables = {**cloud.environment(), **parameters}
    lines = [f"export {name}={shlex.quote(value)}\n" for name, value in variables.items()]
    ENVIRONMENT.write_text("".join(["unset AWS_PROFILE AWS_DEFAULT_PROFILE AWS_SESSION_TOKEN\n", *lines]))


_WELCOME = f"""\
AWS and Whop are running on this machine, and both are empty. In another terminal, in this folder:

  . {ENVIRONMENT.relative_to(ROOT)}
  make deploy STAGE=local

docs/local.md continues from there. Ctrl-C stops both, and nothing is kept."""


if __name__ == "__main__":
    sys.exit(main())
