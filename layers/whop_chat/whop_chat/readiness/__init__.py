"""Whether users would get a token now, also while nobody asks for one.

Public: `ReadinessCheck`, `Readiness`, `ReadinessStore`.
"""
