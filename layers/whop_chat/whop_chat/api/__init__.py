"""The HTTP face: an event of the HTTP API in, an answer or a problem out.

Public: `HttpApi`.
"""
