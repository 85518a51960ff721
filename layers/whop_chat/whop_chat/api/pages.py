"""What the browser sees when it comes back from Whop: a redirect to the app, or a small page without scripts."""

import html
from typing import Any
from urllib.parse import urlencode, urlsplit

from whop_chat.oauth.linking import Return

# Nothing may load or frame the page, or learn its address, which holds Whop's code.
_HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
}


def back_to_app(returned: Return) -> dict[str, Any]:
    """The answer that sends the browser back to ``return_to``, with the result in the fragment.

    No server gets a fragment, and no log keeps it. A browser follows a redirect to an app's own scheme only after a
    tap, so an app scheme gets a page with a link (RFC 8252, section 7.1).
    """
    answer = {"error": returned.error} if returned.error else {"result": returned.result}
    url = f"{returned.return_to}#{urlencode(answer)}"
    if urlsplit(url).scheme in ("https", "http"):
        return {"statusCode": 303, "headers": {**_HEADERS, "Location": url}, "body": ""}
    return _page(200, f'<p><a href="{html.escape(url)}">Back to the app</a></p>')


def failed(status: int, text: str) -> dict[str, Any]:
    """A page that says ``text`` and leads nowhere."""
    return _page(status, f"<p>{html.escape(text)}</p>")


def _page(status: int, body: str) -> dict[str, Any]:
    document = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Whop chat</title>{body}</html>'
    headers = {**_HEADERS, "Content-Type": "text/html; charset=utf-8"}
    return {"statusCode": status, "headers": headers, "body": document}
