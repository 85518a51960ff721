"""``python -m local``: AWS and Whop on this machine, empty, until Ctrl-C. docs/local.md says what to do with them."""

import secrets
import shlex
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

from local.processes import ServerError, interruptible
from local.sam import ROOT, EnvironmentMissingError, architecture
from local.stack import LocalStack
from local.whop_simulator import DEFAULT_COMPANY


def main(folder: Path = ROOT / ".local") -> int:
    """Serve until an interrupt; the exit status, which is 1 if a server does not start.

    While it serves, ``folder`` has what another terminal needs: ``environment``, a file for its shell, and
    ``whop-api-key.txt``, a key that the simulator accepts.
    """
    cloud = LocalStack()
    files = environment_file, key_file = folder / "environment", folder / "whop-api-key.txt"
    try:
        with interruptible(), cloud:
            cloud.start()
            key_file.write_text(_new_key(cloud))
            environment_file.write_text(_as_shell(_environment(cloud)))
            print(_WELCOME, flush=True)
            signal.pause()
    except KeyboardInterrupt:
        print("\nstopped")
    except (EnvironmentMissingError, ServerError) as error:
        print(f"\n{error}")
        return 1
    finally:
        for each in files:
            each.unlink(missing_ok=True)
    return 0


def _new_key(cloud: LocalStack) -> str:
    key = f"apik_{secrets.token_urlsafe(24)}"
    cloud.whop.add_key(key)
    return key


def _as_shell(variables: Mapping[str, str]) -> str:
    exports = [f"export {name}={shlex.quote(value)}\n" for name, value in variables.items()]
    return "".join(["unset AWS_PROFILE AWS_DEFAULT_PROFILE AWS_SESSION_TOKEN\n", *exports])


def _environment(cloud: LocalStack) -> dict[str, str]:
    """What leads to ``cloud``: its one company, and the simulator, which is all that its functions can reach."""
    parameters = {"WhopBaseUrl": cloud.whop_url, "WhopCompanyId": DEFAULT_COMPANY, "Architecture": architecture()}
    return cloud.environment() | parameters


_WELCOME = """\
AWS and Whop are running on this machine, and both are empty. In another terminal, in this folder:

  . .local/environment
  make deploy STAGE=local

docs/local.md continues from there. Ctrl-C stops both, and nothing is kept."""


if __name__ == "__main__":
    sys.exit(main())
