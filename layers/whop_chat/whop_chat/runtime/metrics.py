"""Every metric of the service. CloudWatch bills each name with each set of dimension values, so this list is short.

A dimension set names the dimensions of one such metric. The empty set is the total. A metric with several sets is
counted once in each.
"""


class Metric:
    """A metric of CloudWatch. ``values`` has every value of each dimension that ``sets`` names."""

    __slots__ = ("name", "sets", "unit", "values")

    def __init__(self, name: str, *sets: tuple[str, ...], unit: str = "Count", **values: tuple[str, ...]) -> None:
        self.name = name
        self.unit = unit
        self.sets = sets or ((),)
        self.values = values


MINTS = Metric("Mints", ("outcome",), outcome=("minted", "reused", "denied", "refused", "wait", "failed"))
"""The requests for a token. ``denied`` is a 403, and ``refused`` any other 4xx. ``wait`` is a 503, and ``failed`` any
other 5xx."""

ENROLMENTS = Metric(
    "Enrolments",
    ("service", "outcome"),
    service=("mint_token", "sync_user"),
    outcome=("linked", "refused", "failed"),
)
"""The attempts to enrol a user. ``service`` is the path: at the first token, or from the queue. ``refused`` means that
somebody has to act on this user. ``failed`` is retried."""

WHOP_LATENCY = Metric(
    "WhopLatency",
    ("operation", "status"),
    unit="Milliseconds",
    operation=("mint_token", "create_account", "find_accounts", "update_user"),
    status=("2xx", "4xx", "5xx"),
)
"""The time until Whop's answer. Its number of samples is the number of calls. No answer counts as ``5xx``. Calls about
files are left out, because nobody waits for them."""

KEY_REFUSED = Metric(
    "KeyRefused", ("service",), (), service=("mint_token", "sync_user", "check_readiness", "whop_oauth", "sync_avatar")
)
"""Whop refused the API key or the OAuth client, and the secret has no newer one."""

PICTURES_REFUSED = Metric("PicturesRefused")
"""A picture that cannot be used, so the last one stays."""

WAITS_TOLD = Metric("WaitsTold")
"""Whop answered 429, and said how long nobody may call the operation."""

SYNC_AGE = Metric("SyncAge", unit="Seconds")
"""The age of each message that `sync_user` got, since it was sent. AWS's own metric leaves out a message that was
received three times (SQS, "Available CloudWatch metrics"), so it overlooks what is retried."""

SIGN_UPS_NOT_ENQUEUED = Metric("SignUpsNotEnqueued")
"""A sign-up that succeeded, but whose message could not be sent."""

RECONCILES_FINISHED = Metric("ReconcilesFinished")
"""A reconcile run that has compared everything, or that an operator stopped."""

RECONCILES_UNFINISHED = Metric("ReconcilesUnfinished")
"""A tick found a reconcile run without progress for an hour, or a run gave up."""

NOT_READY = Metric("NotReady")
"""A readiness check found that users would not get a token, or that the queue is late."""

DEFECTS = Metric("Defects")
"""An error that the code does not expect. The log has its stack."""

ALL = (
    MINTS,
    ENROLMENTS,
    WHOP_LATENCY,
    KEY_REFUSED,
    PICTURES_REFUSED,
    WAITS_TOLD,
    SYNC_AGE,
    SIGN_UPS_NOT_ENQUEUED,
    RECONCILES_FINISHED,
    RECONCILES_UNFINISHED,
    NOT_READY,
    DEFECTS,
)
