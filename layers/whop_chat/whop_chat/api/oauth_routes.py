"""The routes by which a user links a Whop account of their own: an event in (payload format 2.0), an answer out."""

from collections.abc import Mapping
from typing import Any

from whop_chat.api import pages
from whop_chat.api.problems import Problem, logged_problem
from whop_chat.api.request import bearer_token, required_text
from whop_chat.api.routes import answer
from whop_chat.minting.authorizer import Authorizer, Grant
from whop_chat.minting.user_quota import UserQuota
from whop_chat.oauth.errors import UnknownState
from whop_chat.oauth.id_token import WhopProfile
from whop_chat.oauth.linking import Linking
from whop_chat.oauth.unlinking import Unlinking
from whop_chat.runtime.deadline import Deadline
from whop_chat.runtime.telemetry import Telemetry

# A user waits for it once. Three calls of Whop fit in.
BUDGET_SECONDS = 8.0
_RESERVE_SECONDS = 2.0


class OAuthApi:
    """Answers every event. No failure becomes an exception of the function."""

    def __init__(
        self, authorizer: Authorizer, quota: UserQuota, linking: Linking, unlinking: Unlinking, telemetry: Telemetry
    ) -> None:
        self._authorizer = authorizer
        self._quota = quota
        self._linking = linking
        self._unlinking = unlinking
        self._telemetry = telemetry

    def handle(self, event: Mapping[str, Any], *, remaining_seconds: float) -> dict[str, Any]:
        """The answer to ``event``, within the ``remaining_seconds`` of the invocation."""
        deadline = Deadline(min(BUDGET_SECONDS, remaining_seconds - _RESERVE_SECONDS))
        if event.get("routeKey") == "GET /oauth/whop/callback":
            return self._callback(event, deadline)
        try:
            return self._route(event, deadline)
        except Exception as error:
            return logged_problem(error, "not linked", self._telemetry).response()

    def _route(self, event: Mapping[str, Any], deadline: Deadline) -> dict[str, Any]:
        match event:
            case {"routeKey": "POST /oauth/whop/link"}:
                return_to = required_text(event, "return_to")
                grant = self._grant(event, deadline)
                url = self._linking.begin(grant.user, grant.scopes, return_to, deadline=deadline)
                self._telemetry.event("link begun", scopes=grant.scopes)
                return answer({"authorize_url": url})
            case {"routeKey": "POST /oauth/whop/complete"}:
                result = required_text(event, "result")
                profile = self._linking.complete(self._grant(event, deadline).user, result, deadline=deadline)
                self._telemetry.event("own Whop account linked")
                return answer({"whop_user": _shown(profile)})
            case {"routeKey": "DELETE /oauth/whop/link"}:
                unlinked = self._unlinking.unlink(self._user(event, deadline).user, deadline=deadline)
                if unlinked:
                    self._telemetry.event("own Whop account unlinked")
                return answer({"unlinked": unlinked})
            case _:
                return Problem("not_found").response()

    def _grant(self, event: Mapping[str, Any], deadline: Deadline) -> Grant:
        """The caller, whose requests count like those for tokens."""
        grant = self._user(event, deadline)
        self._quota.require_not_refused(grant.user)
        self._quota.count(grant.user, deadline=deadline)
        return grant

    def _user(self, event: Mapping[str, Any], deadline: Deadline) -> Grant:
        grant = self._authorizer.grant(bearer_token(event), None, deadline=deadline)
        self._telemetry.bind_user(grant.user.sub)
        return grant

    def _callback(self, event: Mapping[str, Any], deadline: Deadline) -> dict[str, Any]:
        """The browser has no token of ours here, and gets a page where others get a problem."""
        query = event.get("queryStringParameters")
        try:
            returned = self._linking.callback(query if isinstance(query, dict) else {}, deadline=deadline)
        except UnknownState as error:
            self._telemetry.warning("callback refused", error)
            return pages.failed(400, "This link is not valid any more. Go back to the app and begin again.")
        except Exception as error:
            problem = logged_problem(error, "callback failed", self._telemetry)
            return pages.failed(problem.status, problem.text)
        return pages.back_to_app(returned)


def _shown(profile: WhopProfile) -> dict[str, str | None]:
    return {"id": profile.id, "name": profile.name, "username": profile.username, "picture": profile.picture}
