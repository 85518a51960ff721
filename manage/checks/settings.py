"""Whether the functions can read their settings, which lists they got, and whether the pool has the groups in them."""

from collections.abc import Iterable, Iterator

from manage.checks.finding import Finding, Severity
from manage.deployment import Deployment
from whop_chat.settings import MintSettings, OAuthCallerSettings, SettingsError


def check(deployment: Deployment) -> Iterator[Finding]:
    """A problem if the settings cannot be read; else each list that is not empty, and groups that do not exist."""
    try:
        kind = MintSettings if deployment.stack.enrols_users else OAuthCallerSettings
        settings = kind.from_env(deployment.stack.environment("MintTokenFunctionName"))
    except SettingsError as error:
        yield Finding(
            Severity.PROBLEM,
            "settings_unusable",
            f"mint_token answers nothing, because it cannot read its settings: {error}.",
            "Deploy this repository's template with a correct value of the parameter.",
        )
        return
    yield from _lists(settings)
    yield from _missing_groups(settings, set(_groups(deployment)))


def _lists(settings: MintSettings | OAuthCallerSettings) -> Iterator[Finding]:
    """The lists, entry by entry: a list that was cut at a space shows here."""
    lists: dict[str, Iterable[str]] = {
        "UserPoolClientIds": settings.user_pool_client_ids,
        "ChatFeatures": settings.chat_features,
        "DeniedGroups": settings.denied_groups,
        "GroupFeatures": [f"{group}={'+'.join(features)}" for group, features in settings.group_features.items()],
    }
    if isinstance(settings, MintSettings):
        lists |= {
            "TrustedProviders": settings.trusted_providers,
            "ProfileName": ["+".join(choice) for choice in settings.profile_name],
        }
    for name, entries in lists.items():
        shown = ", ".join(f'"{entry}"' for entry in entries)
        yield Finding(Severity.INFO, "list", f"{name}: {shown or 'empty'}.")


def _missing_groups(settings: MintSettings | OAuthCallerSettings, groups: set[str]) -> Iterator[Finding]:
    for parameter, named in (("DeniedGroups", settings.denied_groups), ("GroupFeatures", settings.group_features)):
        for group in named:
            if group not in groups:
                yield Finding(
                    Severity.WARNING,
                    "group_missing",
                    f'The user pool has no group "{group}", which {parameter} names. So the entry applies to nobody, '
                    "unless a trigger of the pool adds the group to tokens.",
                    "Correct the name (its letter case counts), or create the group.",
                )


def _groups(deployment: Deployment) -> Iterator[str]:
    pages = deployment.stack.cognito.get_paginator("list_groups").paginate(UserPoolId=deployment.pool_id)
    for page in pages:
        for group in page["Groups"]:
            yield group["GroupName"]
