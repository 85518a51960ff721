"""The floor under every package: deadlines, HTTP, AWS, secrets, encodings, log lines and metrics.

Public: `Deadline`, `Telemetry`, `HttpClient`, `AwsClients`, `AwsError`, `CachedSecret`, `Prefetch`. Nothing here knows
Cognito, Whop or a user.
"""
