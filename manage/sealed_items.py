"""What is sealed in the users table, with which data keys, and how to seal it with the current one."""

import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any

from manage.deployment import Deployment
from whop_chat.cognito.user import UserRef
from whop_chat.oauth.errors import StaleLink
from whop_chat.oauth.revocations import Contended

# Links and tokens to revoke never expire. Links in progress and cached tokens do, so they are only waited for.
_KINDS = ("OAUTH", "REVOKE", "STATE", "TOKEN")


@dataclass(frozen=True, slots=True)
class SealedItem:
    """One item. ``expires_at`` is in epoch seconds; None: it never does."""

    pk: str
    key_ids: frozenset[str]
    expires_at: int | None

    @property
    def kind(self) -> str:
        """``OAUTH``, ``REVOKE``, ``STATE`` or ``TOKEN``."""
        return self.pk.partition("#")[0]


class SealedItems:
    """The sealed items of a deployment. Methods raise `whop_chat.runtime.aws.AwsError` and botocore's errors."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._reseal: dict[str, Callable[..., bool]] = {
            "OAUTH": deployment.own_links.reseal,
            "REVOKE": deployment.revocations.reseal,
        }

    def sealed_with(self, key_ids: Collection[str]) -> Iterator[SealedItem]:
        """The items that one of these keys opens and that have not expired. Reads the whole table, consistently."""
        pages = (
            self._deployment.stack.client("dynamodb")
            .get_paginator("scan")
            .paginate(
                TableName=self._deployment.stack.output("UsersTableName"),
                ConsistentRead=True,
                FilterExpression=" OR ".join(f"begins_with(pk, :{kind})" for kind in _KINDS),
                ExpressionAttributeValues={f":{kind}": {"S": f"{kind}#"} for kind in _KINDS},
                ProjectionExpression="pk, key_id, #request.key_id, #code.key_id, #ttl",
                ExpressionAttributeNames={"#request": "request", "#code": "code", "#ttl": "ttl"},
            )
        )
        items = (_item(row) for page in pages for row in page["Items"])
        for item in items:
            if not item.key_ids.isdisjoint(key_ids) and (item.expires_at is None or item.expires_at > time.time()):
                yield item

    def reseal(self, key_ids: Collection[str]) -> tuple[int, set[str]]:
        """Seal with the current key what these keys have sealed and what never expires.

        Returns how many items that were, and the keys of those that cannot be opened. An item that somebody writes
        meanwhile stays as it is.
        """
        count, unreadable = 0, set[str]()
        for item in self.sealed_with(key_ids):
            reseal = self._reseal.get(item.kind)
            if reseal is None:
                continue
            try:
                count += reseal(_user(item), deadline=self._deployment.deadline())
            except (StaleLink, Contended):
                continue
            except ValueError:
                unreadable.add(item.pk)
        return count, unreadable


def _item(row: Any) -> SealedItem:
    parts = [row, *(row[name]["M"] for name in ("request", "code") if name in row)]
    key_ids = frozenset(part["key_id"]["S"] for part in parts if "key_id" in part)
    return SealedItem(row["pk"]["S"], key_ids, int(row["ttl"]["N"]) if "ttl" in row else None)


def _user(item: SealedItem) -> UserRef:
    """The user in the key of a link or of tokens to revoke. Their name in the pool is not needed."""
    _, pool_id, sub = item.pk.split("#")
    return UserRef(pool_id=pool_id, sub=sub, username=sub)
