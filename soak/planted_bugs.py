"""Seventeen bugs that an earlier soak did not notice. `soak.self_check` plants each and expects a check to fail.

A bug is some replacements of text in the package. A text must be in its file exactly once, so a bug whose code was
rewritten is an error and not a bug that nobody plants any more. `soak.self_check` has the checks.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


class DoesNotApply(Exception):
    """The text to replace is not in the file exactly once. Rewrite the bug for the present code."""


@dataclass(frozen=True, slots=True)
class Edit:
    """A replacement of ``old`` by ``new`` in ``file``, a path below the package."""

    file: str
    old: str
    new: str

    def apply(self, package: Path) -> None:
        """Change the file of ``package``. Raises `DoesNotApply`."""
        path = package / self.file
        text = path.read_text()
        if text.count(self.old) != 1:
            raise DoesNotApply(f"{self.file} has this {text.count(self.old)} times: {self.old}")
        path.write_text(text.replace(self.old, self.new))


@dataclass(frozen=True, slots=True)
class Bug:
    """A bug by its ``name``, and the name of the ``check`` that must fail on it."""

    name: str
    check: str
    edits: Sequence[Edit]

    def plant(self, package: Path) -> None:
        """Change the copy of the package at ``package``. Raises `DoesNotApply`."""
        for edit in self.edits:
            edit.apply(package)


BUGS: Sequence[Bug] = (
    Bug(
        "unconditional PutItem",
        "protocol on the table",
        [
            Edit(
                "users/repository.py",
                "put_item(**self._put(_item(user, record), _is_unchanged(expected)))",
                "put_item(**self._put(_item(user, record), {}))",
            )
        ],
    ),
    Bug(
        "an old reservation is kept",
        "faults",
        [
            Edit(
                "users/repository.py",
                'items.append({"Delete": self._release(expected.whop_user_id, user)})',
                "pass",
            )
        ],
    ),
    Bug(
        "a kept token is not bound to the Whop user",
        "faults, tokens kept",
        [
            Edit(
                "minting/token_cache.py",
                "user.sub, company_id, whop_user_id, *times",
                "user.sub, company_id, *times",
            )
        ],
    ),
    Bug(
        "a message is lost when its visibility cannot be changed",
        "runs, AWS fails often",
        [
            Edit(
                "sync/batch.py",
                "        self._telemetry.bind_user(None)\n",
                "        self._telemetry.bind_user(None)\n        self._lost = False\n",
            ),
            Edit(
                "sync/batch.py",
                "            return False\n        except Exception:",
                "            return self._lost\n        except Exception:",
            ),
            Edit(
                "sync/batch.py",
                'self._telemetry.warning("message not postponed", error)\n',
                'self._telemetry.warning("message not postponed", error)\n'
                "            self._lost = True\n"
                "            return True\n",
            ),
        ],
    ),
    Bug(
        "a partial batch failure reports only the last message",
        "runs, AWS fails often",
        [Edit("sync/batch.py", "for message_id in failed]", "for message_id in failed[-1:]]")],
    ),
    Bug(
        "the sub is not compared",
        "faults",
        [Edit("cognito/pool.py", "if listed.user.sub != user.sub:", "if False:")],
    ),
    Bug(
        "the checkpoint is written before the messages",
        "runs",
        [
            Edit(
                "reconcile/run.py",
                "checkpoint.page, fingerprints, addresses, deadline=deadline)\n",
                "checkpoint.page, fingerprints, addresses, deadline=deadline)\n"
                "        early = dataclasses.replace(checkpoint, page=checkpoint.page + 1, token=page.next_token)\n"
                "        phase = Phase.LISTING if page.next_token else Phase.ORPHANS\n"
                "        early = self._saved(dataclasses.replace(early, phase=phase), checkpoint)\n",
            ),
            Edit(
                "reconcile/run.py",
                "        return self._saved(further, checkpoint)\n\n    def _list_again",
                "        return self._saved(further, early)\n\n    def _list_again",
            ),
        ],
    ),
    Bug(
        "the checkpoint is written unconditionally",
        "runs",
        [
            Edit(
                "reconcile/checkpoint.py",
                'self._put(f"RECONCILE#{self._pool_id}", item, deadline, **condition)',
                'self._put(f"RECONCILE#{self._pool_id}", item, deadline)',
            )
        ],
    ),
    Bug(
        "messages about changes are ignored",
        "faults",
        [
            Edit(
                "sync/worker.py",
                "        self._telemetry.bind_user(user.sub)\n",
                "        self._telemetry.bind_user(user.sub)\n"
                "        if message.source is Source.CHANGE:\n"
                "            return\n",
            )
        ],
    ),
    Bug(
        "a tombstone is settled at once",
        "deletion protocol",
        [Edit("users/lifecycle.py", "SETTLING_SECONDS = 900", "SETTLING_SECONDS = 0")],
    ),
    Bug(
        "what a failed repair asked for is forgotten",
        "repair protocol",
        [
            Edit("users/lifecycle.py", "tried=max(link.tried, attempt.key_generation),", "tried=link.tried,"),
            Edit("users/lifecycle.py", "idempotency_key=attempt.idempotency_key,", "idempotency_key=None,"),
        ],
    ),
    Bug(
        "UnprocessedKeys are dropped",
        "runs",
        [
            Edit(
                "runtime/aws.py",
                'wanted = answer.get("UnprocessedKeys", {}).get(table, {}).get("Keys")',
                "wanted = None",
            )
        ],
    ),
    Bug(
        "the wait in the header is ignored",
        "pipeline, waits in headers",
        [Edit("whop/_responses.py", "match = header or re.search(", "match = re.search(")],
    ),
    Bug(
        "the lease is ignored",
        "enrolment model",
        [
            Edit(
                "enrolment/enrol.py",
                "case Status.PENDING if record.lease_until > self._now():",
                "case Status.PENDING if False:",
            )
        ],
    ),
    Bug(
        "a user is gone by the list alone",
        "faults",
        [
            Edit(
                "cognito/pool.py",
                "self._by_sub(user.sub, deadline) or self._by_name(user, deadline)",
                "self._by_sub(user.sub, deadline) or (_ for _ in ()).throw(UserGone())",
            )
        ],
    ),
    Bug(
        "users are never disabled",
        "faults",
        [
            Edit(
                "users/lifecycle.py",
                "return Action.LEAVE if status in (None, Status.DENIED, Status.DISABLED) else Action.DISABLE",
                "return Action.LEAVE",
            )
        ],
    ),
    Bug(
        "calls are not counted",
        "pipeline, a low limit",
        [
            Edit(
                "whop/rate_limit.py",
                "acquired = self._windows.acquire(operation,",
                "acquired = True or self._windows.acquire(operation,",
            )
        ],
    ),
)
