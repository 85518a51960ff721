"""What has to happen around a snapshot, so that its copies share nothing but code (AWS, "Lambda SnapStart").

A monotonic clock stands still in a snapshot, so nothing that has an age may go into one: it would come out as young as
it went in.
"""

import os
import random
import ssl
from collections.abc import Callable

_SEED_BYTES = 48


def around_snapshots(*forget: Callable[[], object], resume: Callable[[], object]) -> None:
    """Have the runtime call each of ``forget`` before the snapshot, and ``resume`` in each copy before its first event.

    Only under SnapStart: `snapshot_restore_py` is a part of Lambda's runtime. A copy has ten seconds to resume.
    """
    from snapshot_restore_py import register_after_restore, register_before_snapshot

    for each in forget:
        register_before_snapshot(each)
    # The runtime calls these in the order in which they are registered.
    register_after_restore(_be_random)
    register_after_restore(resume)


def _be_random() -> None:
    """Take random numbers from the kernel, which is not copied (AWS, "Handling uniqueness with Lambda SnapStart")."""
    random.seed()
    # TLS draws its keys from a generator of its own, which lives in memory too.
    ssl.RAND_add(os.urandom(_SEED_BYTES), _SEED_BYTES)
