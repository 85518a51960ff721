"""The limit of a warm call: one table read and one call to Whop, each a ready-made request on a warm connection.

Nothing is verified, signed or read beyond the length of the answer.
"""

import functools
import json
import os
import socket
import ssl
from datetime import UTC, datetime, timedelta


class _Peer:
    """One connection that always sends the same request."""

    def __init__(self, host: str, path: str, body: object, headers: dict[str, str]) -> None:
        content = json.dumps(body).encode()
        fields = {"Host": host, "Content-Length": str(len(content)), **headers}
        lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
        self._request = "\r\n".join([*lines, "", ""]).encode() + content
        plain = socket.create_connection((host, 443))
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connection = ssl.create_default_context().wrap_socket(plain, server_hostname=host)

    def exchange(self) -> bytes:
        """The body of the answer."""
        self._connection.sendall(self._request)
        data = self._connection.recv(65536)
        while b"\r\n\r\n" not in data:
            data += self._connection.recv(65536)
        head, _, body = data.partition(b"\r\n\r\n")
        length = int(head.partition(b"Content-Length: ")[2].partition(b"\r\n")[0])
        while len(body) < length:
            body += self._connection.recv(65536)
        return body


@functools.cache
def _peers() -> tuple[_Peer, _Peer]:
    key = {"pk": {"S": os.environ["BENCH_USER_KEY"]}}
    table = _Peer(
        f"dynamodb.{os.environ['AWS_REGION']}.amazonaws.com",
        "/",
        {"TableName": os.environ["USERS_TABLE"], "Key": key, "ConsistentRead": True},
        {"X-Amz-Target": "DynamoDB_20120810.GetItem", "Authorization": "AWS4-HMAC-SHA256 Credential=made-beforehand"},
    )
    expires_at = datetime.now(UTC) + timedelta(hours=1)
    body = {
        "account_id": os.environ["WHOP_COMPANY_ID"],
        "user_id": os.environ["BENCH_WHOP_USER"],
        "scoped_actions": ["chat:read"],
        "expires_at": expires_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    whop = _Peer(
        "api.whop.com", "/api/v1/access_tokens", body, {"Authorization": f"Bearer {os.environ['BENCH_API_KEY']}"}
    )
    return table, whop


def handler(event: object, context: object) -> dict[str, object]:
    """Both exchanges, one after the other, as the second needs the first."""
    table, whop = _peers()
    table.exchange()
    return {"statusCode": 200, "body": whop.exchange().decode()}
