"""Whop's OAuth server: consent, codes, rotating refresh tokens, ID tokens, userinfo, revocation, discovery and keys."""

import base64
import hashlib
import html
import json
import secrets
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from functools import wraps
from urllib.parse import parse_qsl, urlencode

import jwt

from local.whop_simulator import rules
from local.whop_simulator.call import Call
from local.whop_simulator.oauth_state import App, Code, Grant
from local.whop_simulator.rules import implements
from local.whop_simulator.wire import ApiError, Json, Response, json_response

CODE_SECONDS = 60
_CHALLENGE_METHODS = ("S256",)
_IDENTITY_SCOPES = frozenset({"openid", "profile", "email"})
_SHOWN = ("client_id", "redirect_uri", "scope", "state", "nonce", "code_challenge", "code_challenge_method")


class OAuthError(Exception):
    """An error of RFC 6749, section 5.2."""

    def __init__(self, code: str, status: int = 400) -> None:
        super().__init__(code)
        self.code = code
        self.status = status


@implements(rules.OAUTH_ERRORS)
def _answering(handler: Callable[[Call], Response]) -> Callable[[Call], Response]:
    @wraps(handler)
    def answer(call: Call) -> Response:
        try:
            return handler(call)
        except OAuthError as error:
            body: Json = {"error": error.code, "error_description": "See Whop's documentation."}
            return json_response(error.status, body)

    return answer


@implements(rules.OAUTH_AUTHORIZE)
def authorize(call: Call) -> Response:
    """GET /oauth/authorize: a page on which a person signs in by e-mail and agrees or refuses."""
    query = dict(call.request.query)
    refusal = _refusal(call, query)
    if refusal is not None:
        return refusal
    hidden = "".join(
        f'<input type="hidden" name="{name}" value="{html.escape(query[name])}">' for name in _SHOWN if name in query
    )
    scopes = "".join(f"<li>{html.escape(scope)}</li>" for scope in query.get("scope", "").split())
    page = (
        "<!doctype html><title>Whop simulator</title><h1>Connect your Whop account</h1>"
        f'<ul>{scopes}</ul><form method="post" action="/oauth/authorize">{hidden}'
        '<label>Whop e-mail <input name="email" type="email" required></label>'
        '<button name="decision" value="allow">Allow</button><button name="decision" value="deny">Deny</button></form>'
    )
    return Response(200, (("content-type", "text/html; charset=utf-8"),), page.encode())


@implements(rules.OAUTH_AUTHORIZE, rules.OAUTH_ISS)
def decide(call: Call) -> Response:
    """POST /oauth/authorize: the person's decision, which goes back to the app as a redirect."""
    form = dict(parse_qsl(call.request.body.decode(), keep_blank_values=True))
    refusal = _refusal(call, form)
    if refusal is not None:
        return refusal
    app, oauth = call.state.oauth.apps[form["client_id"]], call.state.oauth
    if form.get("decision") != "allow":
        return _back(call, form, {"error": "access_denied"})
    person = call.state.person_by_email(form.get("email", "")) or call.state.add_person(form["email"], None, call.now)
    scopes = tuple(form.get("scope", "").split())
    grant = Grant(secrets.token_hex(8), app.client_id, person.id, scopes, form.get("nonce"))
    code = secrets.token_urlsafe(24)
    oauth.codes[code] = Code(grant, form["redirect_uri"], form["code_challenge"], call.now + CODE_SECONDS)
    return _back(call, form, {"code": code})


@_answering
@implements(rules.OAUTH_BODY, rules.OAUTH_CODE, rules.OAUTH_ROTATION, rules.OAUTH_CLIENT)
def token(call: Call) -> Response:
    """POST /oauth/token: an authorization code or a refresh token for new tokens."""
    body = _body(call)
    app = _client(call, body)
    match body.get("grant_type"):
        case "authorization_code":
            return _tokens(call, app, _code_grant(call, app, body), with_id_token=True)
        case "refresh_token":
            return _tokens(call, app, _refresh_grant(call, app, body), with_id_token=False)
    raise OAuthError("unsupported_grant_type")


@_answering
@implements(rules.OAUTH_REVOKE)
def revoke(call: Call) -> Response:
    """POST /oauth/revoke: end the consent of a refresh token."""
    body = _body(call)
    _client(call, body)
    oauth, sent = call.state.oauth, body.get("token", "")
    grant = oauth.refresh.get(sent) or oauth.used.get(sent)
    if grant is not None:
        oauth.end(grant.family)
    return json_response(200, {})


@_answering
@implements(rules.OAUTH_USERINFO)
def userinfo(call: Call) -> Response:
    """GET /oauth/userinfo: the person behind an access token."""
    if call.token is None or call.token.user_id is None:
        raise OAuthError("invalid_token", 401)
    person = call.existing_user(call.token.user_id)
    return json_response(
        200,
        {
            "sub": person.id,
            "name": person.name,
            "preferred_username": person.username,
            "picture": person.picture_url,
            "email": person.email,
            "email_verified": True,
        },
    )


@implements(rules.OAUTH_DISCOVERY)
def discovery(call: Call) -> Response:
    """GET /.well-known/openid-configuration (OpenID Connect Discovery, section 4)."""
    base = _origin(call)
    return json_response(
        200,
        {
            "issuer": _issuer(call),
            "authorization_endpoint": f"{base}/oauth/authorize",
            "token_endpoint": f"{base}/oauth/token",
            "userinfo_endpoint": f"{base}/oauth/userinfo",
            "revocation_endpoint": f"{base}/oauth/revoke",
            "jwks_uri": f"{base}{_KEYS_PATHS[call.readings.oauth_keys]}",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
            "code_challenge_methods_supported": [*_CHALLENGE_METHODS],
            "authorization_response_iss_parameter_supported": call.readings.oauth_iss,
        },
    )


_KEYS_PATHS = {"well_known": "/.well-known/jwks.json", "oauth": "/oauth/jwks"}


@implements(rules.OAUTH_KEYS)
def keys(call: Call) -> Response:
    """GET of the key set: the public key of the ID tokens."""
    if call.request.path != _KEYS_PATHS[call.readings.oauth_keys]:
        raise ApiError(404, "Not found.")
    oauth = call.state.oauth
    public: Json = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(oauth.key.public_key()))
    return json_response(200, {"keys": [{**public, "kid": oauth.kid, "use": "sig", "alg": "ES256"}]})


def _refusal(call: Call, query: Mapping[str, str]) -> Response | None:
    """The answer to an authorization request that is wrong. Without a known redirect URI it does not redirect."""
    app = call.state.oauth.apps.get(query.get("client_id", ""))
    if app is None or query.get("redirect_uri") not in app.redirect_uris:
        return Response(400, (("content-type", "text/plain"),), b"client_id or redirect_uri is invalid")
    if query.get("response_type", "code") != "code":
        return _back(call, query, {"error": "unsupported_response_type"})
    challenged = query.get("code_challenge") and query.get("code_challenge_method") in _CHALLENGE_METHODS
    if not challenged or ("openid" in query.get("scope", "").split() and not query.get("nonce")):
        return _back(call, query, {"error": "invalid_request"})
    if call.readings.oauth_scope_refused and not _may_ask(app, query.get("scope", "").split()):
        return _back(call, query, {"error": "invalid_scope"})
    return None


@implements(rules.OAUTH_SCOPES)
def _may_ask(app: App, scopes: Collection[str]) -> bool:
    return app.permissions is None or {*scopes} <= app.permissions | _IDENTITY_SCOPES


def _back(call: Call, query: Mapping[str, str], answer: Mapping[str, str]) -> Response:
    more = {"state": query["state"]} if query.get("state") else {}
    issuer = {"iss": _issuer(call)} if call.readings.oauth_iss else {}
    return Response(302, (("location", f"{query['redirect_uri']}?{urlencode({**answer, **more, **issuer})}"),))


def _body(call: Call) -> dict[str, str]:
    """The parameters of the body. ``oauth_body`` says whether Whop reads JSON, a form, or both."""
    kind = (call.request.header("content-type") or "").partition(";")[0].strip()
    accepted = call.readings.oauth_body
    if kind == "application/json" and accepted in ("json", "either"):
        return {name: value for name, value in call.body.items() if isinstance(value, str)}
    if kind == "application/x-www-form-urlencoded" and accepted in ("form", "either"):
        return dict(parse_qsl(call.request.body.decode()))
    raise OAuthError("invalid_request")


def _client(call: Call, body: Mapping[str, str]) -> App:
    app = call.state.oauth.apps.get(body.get("client_id", ""))
    if app is None or (app.secret is not None and body.get("client_secret") != app.secret):
        raise OAuthError("invalid_client", 401)
    return app


def _code_grant(call: Call, app: App, body: Mapping[str, str]) -> Grant:
    code = call.state.oauth.codes.pop(body.get("code", ""), None)
    verifier = body.get("code_verifier", "")
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    if (
        code is None
        or code.grant.client_id != app.client_id
        or code.redirect_uri != body.get("redirect_uri")
        or code.challenge != challenge
        or code.expires_at <= call.now
    ):
        raise _invalid_grant(call)
    return code.grant


def _refresh_grant(call: Call, app: App, body: Mapping[str, str]) -> Grant:
    oauth, sent = call.state.oauth, body.get("refresh_token", "")
    reused = oauth.used.get(sent)
    if reused is not None:
        oauth.reuses += 1
        if call.readings.oauth_reuse == "ends_consent":
            oauth.end(reused.family)
    grant = oauth.refresh.pop(sent, None)
    if grant is None or grant.client_id != app.client_id:
        raise _invalid_grant(call)
    oauth.used[sent] = grant
    return grant


def _invalid_grant(call: Call) -> OAuthError:
    return OAuthError("invalid_grant", call.readings.oauth_invalid_grant_status)


def _tokens(call: Call, app: App, grant: Grant, *, with_id_token: bool) -> Response:
    oauth, lifetime = call.state.oauth, call.readings.oauth_access_seconds
    access = call.state.add_token(
        key_id=app.client_id,
        account_id=app.company_id,
        user_id=grant.user_id,
        scopes=frozenset(grant.scopes),
        now=call.now,
        expires_at=call.now + lifetime,
    )
    refresh_token = secrets.token_urlsafe(32)
    oauth.refresh[refresh_token] = replace(grant, nonce=None)
    answer: Json = {
        "access_token": access.token,
        "refresh_token": refresh_token,
        "token_type": "Bearer",
        "expires_in": lifetime,
    }
    if call.readings.oauth_scope_returned:
        answer["scope"] = " ".join(grant.scopes)
    if with_id_token and "openid" in grant.scopes:
        answer["id_token"] = _id_token(call, grant)
    return json_response(200, answer)


@implements(rules.OAUTH_ID_TOKEN)
def _id_token(call: Call, grant: Grant) -> str:
    now = int(call.now)
    person = call.existing_user(grant.user_id)
    claims = {
        "iss": _issuer(call),
        "aud": grant.client_id,
        "sub": person.id,
        "nonce": grant.nonce,
        "iat": now,
        "exp": now + 3600,
        "preferred_username": person.username,
    }
    return jwt.encode(claims, call.state.oauth.key, algorithm="ES256", headers={"kid": call.state.oauth.kid})


def _origin(call: Call) -> str:
    host = call.request.header("host") or "api.whop.com"
    return f"{'http' if host.startswith(('127.', '[::1]')) else 'https'}://{host}"


@implements(rules.OAUTH_ISSUER)
def _issuer(call: Call) -> str:
    return "https://whop.com" if call.readings.oauth_issuer == "whop.com" else _origin(call)
