"""The HTTP API: an event in, an answer or a problem out.

Public: `HttpApi`.
"""
