"""What a team sets, as the environment of every function."""

API_KEY = "unit-test-api-key"
COMPANY_ID = "biz_Company"
API_VERSION = "2026-10-15-1"
SETTINGS = {
    "WHOP_COMPANY_ID": COMPANY_ID,
    "WHOP_BASE_URL": "https://api.whop.com",
    "WHOP_API_VERSION": API_VERSION,
    "WHOP_COMPANY_FIELD": "account_id",
    "ENROLMENT_EMAIL": "verified",
    "ALIAS_EMAIL_TEMPLATE": "",
    "TRUSTED_PROVIDERS": "",
    "EMAIL_REUSE": "refuse",
    "PROFILE_NAME": "name,given_name+family_name",
    "DELETE_POLICY": "keep-account",
    "USER_POOL_ISSUER": "original",
    "TOKEN_USE": "access",
    "CHAT_FEATURES": "channels,dms",
    "TOKEN_TTL_MINUTES": "60",
    "REQUIRED_SCOPE": "",
    "DENIED_GROUPS": "banned,chat",
    "GROUP_FEATURES": "guests=channels",
    "MINTS_PER_MINUTE": "30",
    "TOKEN_REUSE": "never",
}
"""What a team sets, in the environment of every function; the names of AWS resources come on top."""

ALIASES = ("{sub}@chat.example.test", "a.b-c_d+{sub}.e@example.test", "a" * 28 + "{sub}@example.test")
"""Templates whose addresses a mail server takes: the last one makes 64 octets before the @."""
BAD_ALIASES = (
    "a" * 29 + "{sub}@example.test",
    "a" * 14 + "{sub}" + "b" * 15 + "@example.test",
    ".chat{sub}@example.test",
    "chat{sub}.@example.test",
    "chat..{sub}@example.test",
    "chat.+..{sub}@example.test",
)
"""Templates that look right, and make addresses that no mail server takes."""
