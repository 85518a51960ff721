"""A chat token for a verified caller.

Public: `MintToken`, `RequestSync`, `ChatToken`, `FeaturePolicy`, `UserQuota`, `TokenFallback`.
"""
