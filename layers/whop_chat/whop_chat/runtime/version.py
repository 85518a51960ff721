"""Which release this is. Only `CHANGELOG.md` and `docs/upgrading.md`, which tell the history, name it too."""

VERSION = "0.1.0"
"""As in Semantic Versioning 2.0.0, without the `v` of the release's tag."""

USER_AGENT = f"whop-chat-auth/{VERSION}"
"""How the service names itself to Whop and AWS (RFC 9110, section 10.1.5)."""
