"""Where users go to: Whop's API, its key, its limit, and when not to call it.

Public: `Whop`, `Account`, `UserToken`, `WhopError` and its kinds, `ApiKey`, `RateLimiter`, `CircuitBreaker`.
"""
