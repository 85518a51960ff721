"""Whether Whop accepts the API key and the version, and whether the key may do all that the settings need."""

from collections.abc import Iterator

from manage.checks.finding import Finding, Severity
from manage.deployment import Deployment
from manage.errors import Refused
from manage.whop_api import WhopApi
from whop_chat.minting.features import FEATURE_SCOPES
from whop_chat.whop.api_key import NotConfigured

PRODUCTION = "https://api.whop.com"
SANDBOX = "https://sandbox-api.whop.com"
_FIRST = 'Store a key of the company (docs/deploy.md, "The key").'
_STORE = 'Store a key of the company (docs/operations.md, "Rotate the API key").'
# Whop's names; docs/deploy.md says what each is for.
_ENROLMENT = ("company:create_child", "company:basic:read", "user:profile:update")
_DELETION = "company:delete_child"


def check(deployment: Deployment) -> Iterator[Finding]:
    """A problem for the first thing that is wrong with the key, or for each permission that it lacks."""
    if not deployment.stack.enrols_users:
        return
    base_url = deployment.whop_settings.whop_base_url
    if deployment.stack.parameters.get("Stage") == "prod" and base_url != PRODUCTION:
        yield Finding(
            Severity.PROBLEM,
            "sandbox_in_prod",
            f"Stage prod calls {base_url}, so its users do not chat at Whop itself.",
            f"Deploy with WhopBaseUrl={PRODUCTION}, or as another stage.",
        )
    try:
        key = deployment.api_key.current(deadline=deployment.deadline())
    except NotConfigured as error:
        yield Finding(
            Severity.PROBLEM,
            "api_key_unusable",
            f"Every request for a token is answered with 503 not_configured, because {error}.",
            _FIRST,
        )
        return
    yield from of_key(deployment, key)


def of_key(deployment: Deployment, key: str) -> Iterator[Finding]:
    """What is wrong with ``key``, which need not be the one in use. Raises `Refused` if Whop does not answer."""
    whop = deployment.whop
    status = whop.look_up(key)
    if status == 401:
        yield _refused(deployment, key)
    elif status == 400:
        yield Finding(
            Severity.PROBLEM,
            "api_version_refused",
            f"Whop refuses version {deployment.whop_settings.whop_api_version} of its API, so that every call fails.",
            "Deploy with a WhopApiVersion that Whop knows.",
        )
    else:
        yield from _permissions(deployment, whop, key)


def _refused(deployment: Deployment, key: str) -> Finding:
    if deployment.whop.base_url == PRODUCTION and _is_of_sandbox(deployment, key):
        return Finding(
            Severity.PROBLEM,
            "sandbox_key",
            "The API key is one of Whop's sandbox, and the stack calls Whop's production API, which refuses it.",
            _STORE,
        )
    return Finding(
        Severity.PROBLEM,
        "api_key_refused",
        "Whop refuses the API key, so nobody gets a token and nobody is enrolled.",
        _STORE,
    )


def _is_of_sandbox(deployment: Deployment, key: str) -> bool:
    """Whether Whop's sandbox accepts ``key``. Only a key that production refuses is sent there."""
    try:
        return deployment.whop_at(SANDBOX).look_up(key) == 200
    except Refused:
        return False


def _permissions(deployment: Deployment, whop: WhopApi, key: str) -> Iterator[Finding]:
    needed, company = _needed(deployment), deployment.whop_settings.whop_company_id
    granted = whop.granted(key, company, list(needed))
    if granted is None:
        yield Finding(
            Severity.WARNING,
            "permissions_unknown",
            "Whop does not say what the API key may do.",
            f"Compare the key at Whop with {', '.join(needed)}.",
        )
    elif not granted:
        yield Finding(
            Severity.PROBLEM,
            "other_company",
            f"The API key may do nothing in {company}: it is another company's key, or it has no permission.",
            f"Store a key of {company}, or deploy with the WhopCompanyId of the key.",
        )
    else:
        for permission in needed.keys() - granted:
            yield Finding(
                Severity.PROBLEM,
                "permission_missing",
                f"The API key lacks {permission}, which {needed[permission]} needs.",
                'Grant it to the key at Whop (docs/deploy.md, "At Whop").',
            )


def _needed(deployment: Deployment) -> dict[str, str]:
    """The permissions that the settings need, each with what needs it."""
    needed = dict.fromkeys(_ENROLMENT, "the enrolment of users")
    parameters = deployment.stack.parameters
    if parameters.get("DeletePolicy") == "delete-account":
        needed[_DELETION] = "DeletePolicy=delete-account"
    features = parameters.get("ChatFeatures", ",".join(FEATURE_SCOPES))
    for feature in map(str.strip, features.split(",")):
        needed |= dict.fromkeys(FEATURE_SCOPES[feature], f"the feature {feature}")
    return needed
