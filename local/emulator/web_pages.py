"""What a web page may ask of the emulator: what it may ask of AWS, and nothing else.

Stock answers every page with ``Access-Control-Allow-Origin: *``. Everybody knows the keys ``test``, so any page that a
developer visits could create a function here, which is to run code on this machine.
"""

import json
from typing import Any

from ministack import app
from ministack.services import apigateway, apigateway_v1

from local.emulator.functions import restart
from local.emulator.patching import Function, wrap
from local.origins import is_loopback, may_control

SWITCHES, RESTART = "/_local/switches", "/_local/restart"
_CONTROL = ("/_ministack/", "/_localstack/", "/_local/")
_HOSTED_UI = ("/oauth2/", "/login", "/logout")
_COGNITO = b"AWSCognitoIdentityProviderService."

type Headers = dict[bytes, bytes]

_switches = {"readable_401": False}


def install() -> None:
    """Apply the patches of this module."""
    wrap(app, "app", _guarded)
    wrap(apigateway, "handle_execute", _readable_401)


def _guarded(stock: Function) -> Function:
    async def serve(scope: dict[str, Any], receive: Function, send: Function) -> None:
        if scope["type"] != "http":
            await stock(scope, receive, send)
        elif not _admitted(scope):
            await _answer(send, 403, {"message": "local.emulator does not answer this web page"})
        elif scope["path"] == RESTART:
            restart()
            await _answer(send, 200, {})
        elif scope["path"] == SWITCHES:
            _switches.update(json.loads((await receive()).get("body") or b"{}"))
            await _answer(send, 200, _switches)
        else:
            await stock(scope, receive, send)

    return serve


def _admitted(scope: dict[str, Any]) -> bool:
    headers: Headers = dict(scope["headers"])
    path, host = scope["path"], headers.get(b"host", b"").decode("latin-1")
    origin = headers.get(b"origin", b"").decode("latin-1") or None
    if path.startswith(_CONTROL):
        return may_control(host, origin)
    return origin is None or scope["method"] == "OPTIONS" or _is_for_pages(path, host, headers)


def _is_for_pages(path: str, host: str, headers: Headers) -> bool:
    """An API, a user pool's operation that needs no key, and the hosted UI."""
    if not is_loopback(host):
        return apigateway_v1.resolve_base_path_mapping(host.partition(":")[0], path) is not None
    if headers.get(b"x-amz-target", b"").startswith(_COGNITO):
        return not headers.get(b"authorization", b"").startswith(b"AWS4-")
    return path.startswith(("/_aws/execute-api/", *_HOSTED_UI)) or "/.well-known/" in path


async def _answer(send: Function, status: int, body: object) -> None:
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(body).encode()})


def _readable_401(stock: Function) -> Function:
    """Stock's own 401 has no CORS headers, so that a page sees a network error. AWS's documents do not say.

    With the switch ``readable_401`` it has them. A client has to work either way.
    """

    async def execute(
        api_id: str, stage: str, path: str, method: str, headers: dict[str, str], *args: Any, **kwargs: Any
    ) -> Any:
        status, answered, body = await stock(api_id, stage, path, method, headers, *args, **kwargs)
        if status == 401 and _switches["readable_401"]:
            cors = apigateway._apis.get(api_id, {}).get("corsConfiguration") or {}
            answered = {**answered, **apigateway._cors_response_headers(cors, headers.get("origin", ""))}
        return status, answered, body

    return execute
