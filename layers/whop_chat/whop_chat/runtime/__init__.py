"""What every other package builds on: deadlines, HTTP, AWS, secrets, encodings, log lines and metrics.

Public: `Deadline`, `Telemetry`, `HttpClient`, `AwsClients`, `AwsError`, `CachedSecret`, `Prefetch`. No module here
knows Cognito, Whop or a user.
"""
