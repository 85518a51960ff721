"""A user pool in which nothing that UpdateUserPool can set is at its default, but the PostConfirmation trigger."""

from typing import Any

ACCOUNT, REGION = "000000000000", "us-east-1"


def function(name: str) -> str:
    """The ARN of a function."""
    return f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}"


def _key(name: str) -> str:
    return f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{name}"


def _role(name: str) -> str:
    return f"arn:aws:iam::{ACCOUNT}:role/{name}"


NAME = "people of the team"

SETTINGS: dict[str, Any] = {
    "AccountRecoverySetting": {
        "RecoveryMechanisms": [{"Priority": 1, "Name": "verified_email"}, {"Priority": 2, "Name": "admin_only"}]
    },
    "AdminCreateUserConfig": {
        "AllowAdminCreateUserOnly": True,
        "InviteMessageTemplate": {
            "SMSMessage": "Welcome {username}: {####}",
            "EmailMessage": "Welcome {username}: {####}",
            "EmailSubject": "Welcome",
        },
    },
    "AutoVerifiedAttributes": ["phone_number", "email"],
    "DeletionProtection": "ACTIVE",
    # Both false means that devices are remembered always; without the structure they never are.
    "DeviceConfiguration": {"ChallengeRequiredOnNewDevice": False, "DeviceOnlyRememberedOnUserPrompt": False},
    "EmailConfiguration": {
        "SourceArn": f"arn:aws:ses:{REGION}:{ACCOUNT}:identity/example.test",
        "ReplyToEmailAddress": "reply@example.test",
        "EmailSendingAccount": "DEVELOPER",
        "From": "The team <team@example.test>",
        "ConfigurationSet": "cognito",
    },
    "EmailVerificationMessage": "Your code is {####}.",
    "EmailVerificationSubject": "Your code",
    "IssuerConfiguration": {"Type": "UPDATED"},
    "KeyConfiguration": {"KeyType": "CUSTOMER_MANAGED_KEY", "KmsKeyArn": _key("pool")},
    "LambdaConfig": {
        "PreSignUp": function("pre-sign-up"),
        "CustomMessage": function("custom-message"),
        "PreAuthentication": function("pre-authentication"),
        "PostAuthentication": function("post-authentication"),
        "DefineAuthChallenge": function("define"),
        "CreateAuthChallenge": function("create"),
        "VerifyAuthChallengeResponse": function("verify"),
        "PreTokenGeneration": function("pre-token:live"),
        "UserMigration": function("migration"),
        "PreTokenGenerationConfig": {"LambdaVersion": "V2_0", "LambdaArn": function("pre-token:live")},
        "CustomSMSSender": {"LambdaVersion": "V1_0", "LambdaArn": function("sms-sender")},
        "CustomEmailSender": {"LambdaVersion": "V1_0", "LambdaArn": function("email-sender")},
        "KMSKeyID": _key("senders"),
        "InboundFederation": {"LambdaVersion": "V1_0", "LambdaArn": function("federation")},
    },
    "MfaConfiguration": "OPTIONAL",
    "Policies": {
        "PasswordPolicy": {
            "MinimumLength": 14,
            "RequireUppercase": False,
            "RequireLowercase": True,
            "RequireNumbers": False,
            "RequireSymbols": False,
            "PasswordHistorySize": 5,
            "TemporaryPasswordValidityDays": 3,
        },
        "SignInPolicy": {"AllowedFirstAuthFactors": ["PASSWORD", "EMAIL_OTP"]},
    },
    "SmsAuthenticationMessage": "Sign in with {####}",
    "SmsConfiguration": {
        "SnsCallerArn": _role("sms"),
        "ExternalId": "of-the-pool",
        "SnsRegion": "eu-west-1",
        "EumsSms": {
            "CallerArn": _role("eums"),
            "ExternalId": "of-the-pool",
            "OriginationIdentity": "pool-1",
            "ConfigurationSetName": "cognito",
            "InEntityId": "1",
            "InTemplateId": "2",
            "Region": "eu-west-1",
        },
    },
    "SmsVerificationMessage": "Your code is {####}.",
    "UserAttributeUpdateSettings": {"AttributesRequireVerificationBeforeUpdate": ["email"]},
    "UserPoolAddOns": {
        "AdvancedSecurityMode": "ENFORCED",
        "AdvancedSecurityAdditionalFlows": {"CustomAuthMode": "AUDIT"},
    },
    "UserPoolTags": {"team": "chat", "cost-centre": "7"},
    "UserPoolTier": "PLUS",
    "VerificationMessageTemplate": {
        "SmsMessage": "Your code is {####}.",
        "EmailMessage": "Your code is {####}.",
        "EmailSubject": "Your code",
        "EmailMessageByLink": "{##Verify##} your address.",
        "EmailSubjectByLink": "Your address",
        "DefaultEmailOption": "CONFIRM_WITH_LINK",
    },
}

MFA: dict[str, Any] = {
    "SmsMfaConfiguration": {
        "SmsAuthenticationMessage": SETTINGS["SmsAuthenticationMessage"],
        "SmsConfiguration": SETTINGS["SmsConfiguration"],
    },
    "SoftwareTokenMfaConfiguration": {"Enabled": True},
    "EmailMfaConfiguration": {"Message": "Sign in with {####}", "Subject": "Sign in"},
    "MfaConfiguration": "OPTIONAL",
    "WebAuthnConfiguration": {
        "RelyingPartyId": "auth.example.test",
        "UserVerification": "required",
        "FactorConfiguration": "MULTI_FACTOR_WITH_USER_VERIFICATION",
    },
}
