"""A chat token for a verified caller.

Public: `MintToken`, `ChatToken`, `FeaturePolicy`, `UserQuota`, `TokenFallback`.
"""
