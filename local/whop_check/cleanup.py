"""Deletes every account that the probes created."""

import httpx

from local.whop_check.client import Sandbox
from local.whop_check.responses import NotAnsweredError, account_rows, member, reason, successful, text


def clean_up(sandbox: Sandbox) -> list[str]:
    """Delete the created accounts. Returns one line for each thing that is left, or one line that nothing is."""
    left = _find_unanswered(sandbox)
    for account_id in list(sandbox.created):
        try:
            successful(sandbox.delete(account_id), "DELETE /accounts/{id}")
        except (NotAnsweredError, httpx.HTTPError) as error:
            if account_id in sandbox.created:
                left.append(f"not deleted: {account_id} ({reason(error)})")
    return left or ["Every account that was created is deleted."]


def _find_unanswered(sandbox: Sandbox) -> list[str]:
    """Find accounts whose creation got no answer: look for the addresses of this run among the newest accounts."""
    newest = {"first": "50", "order": "created_at", "direction": "desc"}
    emails = {email.casefold() for email in sandbox.emails}
    try:
        for row in account_rows(sandbox.call("GET", "/accounts", query=newest)):
            if str(member(row, "email")).casefold() in emails:
                sandbox.created[text(row, "id")] = None
    except (NotAnsweredError, httpx.HTTPError) as error:
        return [
            f"The accounts could not be listed ({reason(error)}): an account whose creation got no answer may remain."
        ]
    return []
