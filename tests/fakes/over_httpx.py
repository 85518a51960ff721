"""Our HTTP client with an httpx transport behind it, for tests that answer requests in the process."""

import httpx

from whop_chat.runtime.deadline import Deadline
from whop_chat.runtime.http import HttpClient, Request, Response, TransportError


class OverHttpx(HttpClient):
    """Bounds and failures are as those of the real client, which has tests of its own."""

    def __init__(self, transport: httpx.BaseTransport) -> None:
        self._client = httpx.Client(transport=transport, headers={"User-Agent": ""})

    def exchange(self, request: Request, *, deadline: Deadline, max_bytes: int) -> Response:
        """See `HttpClient.exchange`."""
        sent = httpx.Request(
            request.method,
            request.url,
            headers=dict(request.headers),
            content=request.body,
            extensions={"timeout": httpx.Timeout(deadline.require()).as_dict()},
        )
        try:
            answer = self._client.send(sent, stream=True, follow_redirects=False)
            body = bytearray()
            for chunk in answer.iter_bytes():
                body += chunk
                if len(body) > max_bytes:
                    raise TransportError("BodyTooLarge")
            return Response(answer.status_code, dict(answer.headers), bytes(body))
        except httpx.HTTPError as error:
            raise TransportError(type(error).__name__) from None
