"""Users who sign in to Whop themselves: OAuth 2.1 with PKCE, and the tokens of their own accounts.

Public: `Linking`, `Unlinking`, `OwnTokens`, `OAuthServer`, `IdTokenVerifier`, the stores, and the errors.
"""
