"""How UpdateUserPool changes a user pool.

"If you don't provide a value for an attribute, Amazon Cognito sets it to its default value."
https://docs.aws.amazon.com/cognito-user-identity-pools/latest/APIReference/API_UpdateUserPool.html
In fact AWS keeps some settings that an update leaves out. A caller that always sends every setting is right either way.
"""

import copy
from collections.abc import Mapping
from typing import Any

# Every setting of the operation. The pool's id and name have no default.
DEFAULTS: Mapping[str, Any] = {
    "AccountRecoverySetting": {},
    "AdminCreateUserConfig": {"AllowAdminCreateUserOnly": False},
    "AutoVerifiedAttributes": [],
    "DeletionProtection": "INACTIVE",
    "DeviceConfiguration": {},
    "EmailConfiguration": {},
    "EmailVerificationMessage": "",
    "EmailVerificationSubject": "",
    "IssuerConfiguration": {"Type": "ORIGINAL"},
    "KeyConfiguration": {"KeyType": "AWS_OWNED_KEY"},
    "LambdaConfig": {},
    "MfaConfiguration": "OFF",
    "Policies": {
        "PasswordPolicy": {
            "MinimumLength": 8,
            "RequireUppercase": True,
            "RequireLowercase": True,
            "RequireNumbers": True,
            "RequireSymbols": True,
            "TemporaryPasswordValidityDays": 7,
        }
    },
    "SmsAuthenticationMessage": "",
    "SmsConfiguration": {},
    "SmsVerificationMessage": "",
    "UserAttributeUpdateSettings": {},
    "UserPoolAddOns": {},
    "UserPoolTags": {},
    "UserPoolTier": "ESSENTIALS",
    "VerificationMessageTemplate": {},
}

_MIRRORED = {
    "EmailVerificationMessage": "EmailMessage",
    "EmailVerificationSubject": "EmailSubject",
    "SmsVerificationMessage": "SmsMessage",
}


def refusal(update: Mapping[str, Any]) -> str | None:
    """Why Cognito refuses this update, or None."""
    triggers = update.get("LambdaConfig", {})
    versioned = triggers.get("PreTokenGenerationConfig", {}).get("LambdaArn")
    if versioned and triggers.get("PreTokenGeneration", versioned) != versioned:
        return "PreTokenGeneration and PreTokenGenerationConfig must name the same function"
    if {"CustomSMSSender", "CustomEmailSender"} & triggers.keys() and "KMSKeyID" not in triggers:
        return "KMSKeyID is required for a custom sender"
    if "UnusedAccountValidityDays" in update.get("AdminCreateUserConfig", {}) and _password_days(update) is not None:
        return "Please use TemporaryPasswordValidityDays in PasswordPolicy instead of UnusedAccountValidityDays"
    if any(key.startswith("aws:") for key in update.get("UserPoolTags", {})):
        return "aws: prefixed tag key names are not allowed for external use"
    template = update.get("VerificationMessageTemplate", {})
    for old, new in _MIRRORED.items():
        if update.get(old) and template.get(new, update[old]) != update[old]:
            return f"{old} and VerificationMessageTemplate.{new} are different"
    return None


def settings(update: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a pool after this update. The update must not be one that Cognito refuses."""
    after = {**copy.deepcopy(dict(DEFAULTS)), **{name: update[name] for name in DEFAULTS if name in update}}
    return with_second_names(after)


def with_second_names(after: dict[str, Any]) -> dict[str, Any]:
    """The settings, with both names of each setting that Cognito returns under two names."""
    template = after.get("VerificationMessageTemplate") or {}
    mirrored = {old: template[new] for old, new in _MIRRORED.items() if new in template}
    days = _password_days(after)
    admin = {} if days is None else {"UnusedAccountValidityDays": days}
    return {**after, **mirrored, "AdminCreateUserConfig": {**after["AdminCreateUserConfig"], **admin}}


def _password_days(settings: Mapping[str, Any]) -> int | None:
    policy = settings.get("Policies", {}).get("PasswordPolicy", {})
    days: int | None = policy.get("TemporaryPasswordValidityDays")
    return days
