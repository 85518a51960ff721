"""Whether users can link their own Whop accounts: the settings of `whop_oauth`, and what Whop knows of the app."""

from collections.abc import Iterator

from manage.checks.finding import Finding, Severity
from manage.deployment import Deployment
from manage.stack import Stack
from whop_chat.minting.features import FEATURE_SCOPES
from whop_chat.oauth.authorization import OAuthClient
from whop_chat.settings import LinkSettings, SettingsError

_CALLBACK = "/oauth/whop/callback"


def callback_url(stack: Stack) -> str:
    """Where Whop sends users back to, at the API of the stack."""
    return f"{stack.output('ApiUrl').rstrip('/')}{_CALLBACK}"


def requested_scopes(stack: Stack) -> list[str]:
    """The chat scopes that users are asked to grant, if no group narrows them."""
    features = stack.parameters.get("ChatFeatures", ",".join(FEATURE_SCOPES))
    return [scope for feature in features.split(",") for scope in FEATURE_SCOPES[feature.strip()]]


def check(deployment: Deployment) -> Iterator[Finding]:
    """A problem for settings that cannot be read or that Whop refuses, and a warning for another API's callback."""
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
    yield from _refused_by_whop(deployment, settings)


def _refused_by_whop(deployment: Deployment, settings: LinkSettings) -> Iterator[Finding]:
    """What Whop has against the request that begins a link."""
    client = OAuthClient(settings.oauth_client_id, settings.oauth_redirect_uri)
    scopes = requested_scopes(deployment.stack)
    error = deployment.whop_for_operator.authorization_error(client, scopes)
    if error == "redirect_uri":
        yield Finding(
            Severity.PROBLEM,
            "redirect_uri_refused",
            f"Whop does not know {client.redirect_uri} as a redirect URI of {client.client_id}, or not the app.",
            "Run create-oauth-app, and deploy with the OAuthClientId that it prints.",
        )
    elif error == "invalid_scope":
        yield Finding(
            Severity.PROBLEM,
            "scopes_refused",
            f"Whop does not let {client.client_id} ask users for {', '.join(scopes)}, so no user can link an account.",
            "Add them to the permissions of the app in Whop's dashboard, or leave features out of ChatFeatures.",
        )
    elif error:
        yield Finding(
            Severity.PROBLEM,
            "link_refused",
            f"Whop ends each link with the error {error} before a user signs in.",
            "Look the error up in RFC 6749, section 4.1.2.1, and compare the app at Whop with the parameters.",
        )
