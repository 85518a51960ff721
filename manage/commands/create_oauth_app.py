"""``create-oauth-app``: the company's app at Whop, through which users link accounts of their own.

It uses an API key from standard input. The stack's own key need not be able to change apps.
"""

import argparse

from manage.checks.linked_accounts import callback_url, requested_scopes
from manage.console import Console
from manage.deployment import Deployment
from manage.errors import Refused
from manage.stack import Stack
from manage.whop_api import WhopApi, WhopApp
from whop_chat.whop.api_key import NotConfigured, key_in

NAME = "create-oauth-app"
HELP = "create or update the app at Whop that users link accounts with, by the API key on standard input"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what names the app, and more redirect URIs. A key among them would be in the history of the shell."""
    parser.add_argument("--app", metavar="app_…", help="the app to update (default: OAuthClientId, or the one of NAME)")
    parser.add_argument("--name", help="the name that users read at Whop (default: the stack's)")
    parser.add_argument(
        "--redirect-uri",
        action="append",
        default=[],
        metavar="URI",
        help="one more, such as <bundle id>://oauth/callback for Whop's iOS SDK",
    )


def run(arguments: argparse.Namespace, stack: Stack, console: Console) -> int:
    """Create or update the app and say what to store. Returns the exit status. Raises `Refused`."""
    deployment = Deployment(stack)
    key = _key(console)
    wanted = [callback_url(stack), *arguments.redirect_uri]
    with deployment.audit.entry(NAME) as entry:
        app, outcome = _set_up(deployment.whop_for_operator, key, stack, arguments, wanted)
        entry.outcome = f"{outcome} {app.id}"
    missing = sorted(set(requested_scopes(stack)) - app.permissions)
    console.answer(
        "\n".join(_text(stack, app, outcome, missing)),
        outcome=outcome,
        **deployment.as_data(),
        parameters=_parameters(stack, app),
        redirect_uris=[*app.redirect_uris],
        confidential=app.is_confidential,
        scopes_not_requested=missing,
    )
    return 0


def _key(console: Console) -> str:
    try:
        return key_in(console.read_secret("An API key that may change apps: ").strip())
    except NotConfigured as error:
        raise Refused(f"There is no API key on standard input: {error}. Nothing was changed.") from None


def _set_up(
    whop: WhopApi, key: str, stack: Stack, arguments: argparse.Namespace, wanted: list[str]
) -> tuple[WhopApp, str]:
    """The app with the redirect URIs ``wanted``, besides those that it has, and what was done."""
    company, name = stack.parameters["WhopCompanyId"], arguments.name or stack.name
    chosen = arguments.app or stack.parameters.get("OAuthClientId") or whop.app_named(key, company, name)
    if not chosen:
        return whop.create_app(key, company, name, wanted), "created"
    app = whop.app(key, chosen)
    redirect_uris = [*dict.fromkeys([*app.redirect_uris, *wanted])]
    if len(redirect_uris) == len(app.redirect_uris):
        return app, "unchanged"
    return whop.set_redirect_uris(key, app.id, redirect_uris), "updated"


def _parameters(stack: Stack, app: WhopApp) -> dict[str, str]:
    return {"OAuthClientId": app.id, "OAuthRedirectUri": callback_url(stack)}


def _text(stack: Stack, app: WhopApp, outcome: str, missing: list[str]) -> list[str]:
    """What to do next, for a terminal."""
    given = " ".join(f"{name}={value}" for name, value in _parameters(stack, app).items())
    lines = [
        f"The app {app.id} ({app.name}) is {outcome}. Its redirect URIs are {', '.join(app.redirect_uris)}.",
        f"Deploy with AuthModes=both, or AuthModes=oauth, and {given} OAuthReturnUrls=<where your apps go on>.",
    ]
    if missing:
        lines.append(
            f"The app does not request {', '.join(missing)}. Whop lets no API key change that: add them to the app's "
            "permissions in Whop's dashboard. It is unproven that users can grant a scope without it."
        )
    if app.is_confidential:
        secret = stack.outputs.get("OAuthClientSecretArn", "<OAuthClientSecretArn>")
        lines.append(
            "The app is a confidential client. Copy its client secret from Whop's dashboard, which alone shows it, "
            f"and after the deployment: aws secretsmanager put-secret-value --secret-id {secret} "
            "--secret-string file:///dev/stdin"
        )
    else:
        lines.append("The app is a public client, so there is no client secret to store.")
    return lines
