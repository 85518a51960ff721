"""Where users come from: the Cognito user pool, its tokens, and its data about a user.

Public: `UserRef`, `TokenVerifier`, `Caller`, `JwkSet`, `UserPool`, `PoolUser`, `PoolStatus`, `NotActive`.
"""
