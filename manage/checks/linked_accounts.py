"""Whether users can link their own Whop accounts: the settings of `whop_oauth`, and where Whop sends users back to."""

from collections.abc import Iterator

from manage.checks.finding import Finding, Severity
from manage.deployment import Deployment
from manage.stack import Stack
from whop_chat.settings import LinkSettings, SettingsError

_CALLBACK = "/oauth/whop/callback"


def callback_url(stack: Stack) -> str:
    """Where Whop sends users back to, at the API of the stack."""
    return f"{stack.output('ApiUrl').rstrip('/')}{_CALLBACK}"


def check(deployment: Deployment) -> Iterator[Finding]:
    """A problem if the settings cannot be read, and a warning if the redirect URI is not this API's callback."""
    stack = deployment.stack
    if not stack.links_accounts:
        return
    try:
        settings = LinkSettings.from_env(stack.environment("WhopOauthFunctionName"))
    except SettingsError as error:
        yield Finding(
            Severity.PROBLEM,
            "settings_unusable",
            f"whop_oauth answers nothing, because it cannot read its settings: {error}.",
            "Deploy this repository's template with a correct value of the parameter.",
        )
        return
    expected = callback_url(stack)
    if settings.oauth_redirect_uri != expected:
        yield Finding(
            Severity.WARNING,
            "other_redirect_uri",
            f"OAuthRedirectUri is {settings.oauth_redirect_uri}, and the callback of this stack is {expected}. Unless "
            "the first leads to the second, no user can link an account.",
            "Register the callback as a redirect URI of the app at Whop, and deploy with it as OAuthRedirectUri.",
        )
