"""``python -m local.whop_check``: ask Whop's sandbox, and print its answers.

The command needs an API key of a sandbox account, and an e-mail address with room for a number. It creates about
twenty connected accounts under that account and deletes them again. It never prints the key or a token.

Exit status: 0 if every question that was asked is answered, 1 if some are not, 2 if an argument is missing or wrong.
"""

import argparse
import os
import re
import ssl
import sys
from collections.abc import Mapping, Sequence

import httpx
from rich.console import Console

from local.processes import interruptible
from local.whop_check.client import Sandbox
from local.whop_check.questions import OAUTH_CLIENT, OTHER_USER, QUESTIONS, RATE_LIMIT
from local.whop_check.report import ask_all

SANDBOX = "https://sandbox-api.whop.com"
_LOOPBACK = re.compile(r"http://(127\.0\.0\.1|\[::1\])(:\d{1,5})?")
_TIMEOUT_SECONDS = 20
_COLUMNS = 120
_NEEDED = f"""\
whop-check asks Whop's sandbox ({SANDBOX}). It needs

  WHOP_SANDBOX_API_KEY     an API key of a sandbox account (https://sandbox.whop.com, Developer) that may create,
                           read, update and delete connected accounts, update user profiles and read chat
  WHOP_SANDBOX_COMPANY_ID  that account's id, biz_…
  WHOP_SANDBOX_EMAIL       or --email: an address with {{n}} in it, such as whop-check+{{n}}@your-domain, under a domain
                           that gets mail: Whop refuses undeliverable addresses, and writes to the owners of accounts

It asks about OAuth what it can without a person. An ID token takes one: deploy a stack on the sandbox with
AuthModes=both and link an account. If its issuer is not OAuthIssuer, the log line `not linked` has `id_token: issuer`.
Production has an issuer of its own: curl https://api.whop.com/.well-known/openid-configuration
"""


def main(arguments: Sequence[str] | None = None, environment: Mapping[str, str] = os.environ) -> int:
    """Ask everything; the exit status."""
    options = _parser(environment).parse_args(arguments)
    key, company_id = (environment.get(f"WHOP_SANDBOX_{name}", "").strip() for name in ("API_KEY", "COMPANY_ID"))
    wrong = _wrong(options, key, company_id)
    if wrong:
        print("\n".join([*wrong, "", _NEEDED]), file=sys.stderr)
        return 2
    print(f"asking {options.base_url} for {company_id}; connected accounts are created and deleted again\n")
    # The proxy settings of this machine are for calls to the sandbox, not for a server on the loopback.
    trust_env = options.base_url == SANDBOX
    tls = _tls(trust_env=trust_env)
    with httpx.Client(base_url=options.base_url, timeout=_TIMEOUT_SECONDS, trust_env=trust_env, verify=tls) as http:
        stranger, app = options.other_user, options.oauth_client
        sandbox = Sandbox(http, key, company_id, options.email, stranger=stranger, oauth_client=app)
        options_given = {OTHER_USER: stranger, OAUTH_CLIENT: app, RATE_LIMIT: options.provoke_rate_limit}
        given = {name for name, value in options_given.items() if value}
        console = Console(width=_COLUMNS, highlight=False)
        try:
            with interruptible():
                return 0 if ask_all(sandbox, QUESTIONS, console, given=given) else 1
        except KeyboardInterrupt:
            return 130


def _tls(*, trust_env: bool) -> ssl.SSLContext:
    """httpx's TLS. As in the functions, a host must be among the certificate's alternative names."""
    context = httpx.create_ssl_context(trust_env=trust_env)
    context.hostname_checks_common_name = False
    return context


def _parser(environment: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m local.whop_check",
        epilog=_NEEDED,
        allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--email", default=environment.get("WHOP_SANDBOX_EMAIL", ""), help="address with {n} in it")
    parser.add_argument(OTHER_USER, help="user_… of a Whop user who owns no account of yours: asks about minting")
    parser.add_argument(OAUTH_CLIENT, help="app_… of an app of the sandbox: asks whether it needs a client secret")
    parser.add_argument(RATE_LIMIT, action="store_true", help="make over 600 calls to meet a 429")
    parser.add_argument("--base-url", default=SANDBOX, help="the sandbox, or a loopback address")
    return parser


def _wrong(options: argparse.Namespace, key: str, company_id: str) -> list[str]:
    """What is missing or wrong, in words that never repeat the key."""
    wrong = []
    if options.base_url != SANDBOX and not _LOOPBACK.fullmatch(options.base_url):
        wrong.append(f"--base-url is {SANDBOX} or a loopback address: production is never asked.")
    if not re.fullmatch(r"[\x21-\x7e]+", key):
        wrong.append("WHOP_SANDBOX_API_KEY is not set, or is not a key.")
    if not re.fullmatch(r"biz_\w+", company_id):
        wrong.append("WHOP_SANDBOX_COMPANY_ID is not set, or does not have the form biz_….")
    if not re.fullmatch(r"[^@\s]*\{n\}[^@\s]*@[^@\s]+", options.email):
        wrong.append("--email is not given, or is not an address with {n} before its @.")
    return wrong


if __name__ == "__main__":
    sys.exit(main())
