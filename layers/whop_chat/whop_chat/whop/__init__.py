"""Whop's API, its key, its rate limiter and its circuit breaker.

Public: `Whop`, `Account`, `UserToken`, `WhopError` and its kinds, `ApiKey`, `RateLimiter`, `CircuitBreaker`.
"""
