"""Where users come from: the pool, its tokens, and what it says of a user.

Public: `UserRef`, `TokenVerifier`, `Caller`, `JwkSet`, `UserPool`, `PoolUser`, `PoolStatus`, `NotActive`.
"""
