"""Serves the page, and what it can do, to a browser on this machine only."""

import json
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import Any

import uvicorn
from botocore.exceptions import ClientError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from local.dev.playground import NotDoneError, Playground
from local.origins import may_control
from local.sam import ROOT

_PAGE = Path(__file__).parent / "page"
_CALLBACK = "/oauth/whop/callback"
_CLIENT = ROOT / "clients" / "typescript" / "src"

type Handler = Callable[[Request], Awaitable[Response]]


@contextmanager
def served(playground: Playground, listener: socket.socket) -> Iterator[None]:
    """Serve the page in a thread on ``listener`` until the end of the block."""
    server = uvicorn.Server(
        uvicorn.Config(
            app(playground), lifespan="off", access_log=False, log_level="critical", timeout_graceful_shutdown=1
        )
    )
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.should_exit = True
        thread.join()


def app(playground: Playground) -> Starlette:
    """The page under ``/``, and its control endpoints under ``/control/``."""

    def control(path: str, action: Callable[[dict[str, Any]], Any], method: str = "POST") -> Route:
        return Route(f"/control/{path}", _answering(action), methods=[method])

    def break_(body: dict[str, Any]) -> None:
        playground.breakages[body["what"]]()

    def act(body: dict[str, Any]) -> None:
        playground.user_actions[body["what"]](body["sub"])

    return Starlette(
        routes=[
            control("configuration", lambda _: playground.configuration(), "GET"),
            control("mails", lambda _: playground.mails(), "GET"),
            control("record", lambda query: playground.record(query["sub"]), "GET"),
            control("log", lambda query: playground.log(int(query["after"])), "GET"),
            control("sign-in", lambda body: _tokens(playground, body)),
            control("break", break_),
            control("user", act),
            Route(_CALLBACK, lambda request: _to_the_api(playground, request)),
            Route("/mail", lambda _: HTMLResponse(_mail_page(playground.mails()))),
            Mount("/client", StaticFiles(directory=_CLIENT)),
            Mount("/", StaticFiles(directory=_PAGE, html=True)),
        ],
        middleware=[Middleware(BaseHTTPMiddleware, dispatch=_guard(playground))],
    )


def _guard(playground: Playground) -> Callable[[Request, Handler], Awaitable[Response]]:
    whop = playground.whop_url
    policy = (
        f"default-src 'none'; script-src 'self' {whop}; frame-src {whop}; style-src 'self'; img-src 'self' data:; "
        f"connect-src 'self' {playground.cognito_url}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )

    async def guard(request: Request, answer: Handler) -> Response:
        if not may_control(request.headers.get("host", ""), request.headers.get("origin")):
            return JSONResponse({"error": "this page is for a browser on this machine"}, 403)
        response = await answer(request)
        response.headers["content-security-policy"] = policy
        response.headers["cache-control"] = "no-store"
        response.headers["x-content-type-options"] = "nosniff"
        return response

    return guard


def _answering(action: Callable[[dict[str, Any]], Any]) -> Handler:
    """A JSON endpoint: ``action`` gets the query or the JSON body, and its result is the answer."""

    async def answer(request: Request) -> Response:
        try:
            given = dict(request.query_params) if request.method == "GET" else await _body(request)
            return JSONResponse(await run_in_threadpool(action, given))
        except (KeyError, ValueError) as error:
            return JSONResponse({"error": f"bad request: {error}"}, 400)
        except (ClientError, NotDoneError) as error:
            return JSONResponse({"error": str(error)}, 409)

    return answer


async def _body(request: Request) -> dict[str, Any]:
    # A form of another page can send no JSON by its name.
    if request.headers.get("content-type") != "application/json":
        raise ValueError("the content type is application/json")
    body = json.loads(await request.body())
    if not isinstance(body, dict):
        raise ValueError("the body is an object")
    return body


def _tokens(playground: Playground, body: dict[str, Any]) -> dict[str, str]:
    tokens = playground.sign_in(body["email"], body["password"])
    return {"accessToken": tokens.access, "idToken": tokens.id, "refreshToken": tokens.refresh}


def _to_the_api(playground: Playground, request: Request) -> Response:
    """Whop's callback, at the API. Its own address is known only after a deployment that needs to know it."""
    return RedirectResponse(f"{playground.api_url}{_CALLBACK}?{request.url.query}")


def _mail_page(mails: list[dict[str, str]]) -> str:
    items = "".join(f"<li><b>{escape(mail['to'])}</b> {escape(mail['text'])}</li>" for mail in mails)
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Mail</title>'
        '<link rel="stylesheet" href="/style.css"><main><h1>Mail from Cognito</h1>'
        f"<ol>{items or '<li>None yet.</li>'}</ol></main></html>"
    )
