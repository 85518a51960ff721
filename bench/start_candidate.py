"""Starts a Python candidate as Lambda does, with AWS's own runtime client. All its connections go to the stubs.

Candidates use the real host names, so each makes the same connections as on AWS. Every name leads to the stubs' port.
Every TLS context also trusts the stubs' authority. It still loads its own certificates, so their price is measured. Run
with ``-P``: this folder must not be on the path.
"""

import os
import socket
import ssl
import sys
from typing import Any

_PORT = int(os.environ.pop("BENCH_PORT"))
_AUTHORITY = os.environ.pop("BENCH_AUTHORITY")
_TRUSTING = "_trusts_the_stubs"

_getaddrinfo = socket.getaddrinfo
_wrap_socket = ssl.SSLContext.wrap_socket
_wrap_bio = ssl.SSLContext.wrap_bio


def _address(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
    if host == "127.0.0.1" and port != 443:
        return _getaddrinfo(host, port, *args, **kwargs)
    return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("127.0.0.1", _PORT))]


def _trust(context: ssl.SSLContext) -> None:
    if not hasattr(context, _TRUSTING):
        context.load_verify_locations(_AUTHORITY)
        setattr(context, _TRUSTING, True)


def _trusting_socket(context: ssl.SSLContext, *args: Any, **kwargs: Any) -> Any:
    _trust(context)
    return _wrap_socket(context, *args, **kwargs)


def _trusting_bio(context: ssl.SSLContext, *args: Any, **kwargs: Any) -> Any:
    _trust(context)
    return _wrap_bio(context, *args, **kwargs)


socket.getaddrinfo = _address
ssl.SSLContext.wrap_socket = _trusting_socket  # type: ignore[method-assign, assignment]
ssl.SSLContext.wrap_bio = _trusting_bio  # type: ignore[method-assign, assignment]

if __name__ == "__main__":
    from awslambdaric.__main__ import main

    main(sys.argv)
