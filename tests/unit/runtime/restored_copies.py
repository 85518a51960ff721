"""A function under SnapStart, without Lambda: `python -m tests.unit.runtime.restored_copies FUNCTION`.

Loads the function, runs the hooks in the order of Lambda's runtime (awslambdaric) and says so. Each line that it then
reads is a list of events for a new copy, which answers with a line. A copy is a fork, which has the memory and the
sockets of the snapshot, with one difference that is undone: Python seeds its random numbers anew.
"""

import json
import os
import random
import sys

from snapshot_restore_py import get_after_restore, get_before_snapshot

from tests.fakes.shared import Context, load_function


def main() -> None:
    """Be the snapshot."""
    function = load_function(sys.argv[1])
    for hook, arguments, named in reversed(get_before_snapshot()):
        hook(*arguments, **named)
    state = random.getstate()
    _say("snapshot")
    for line in sys.stdin:
        copy = os.fork()
        if copy:
            os.waitpid(copy, 0)
            continue
        random.setstate(state)
        for hook, arguments, named in get_after_restore():
            hook(*arguments, **named)
        numbers = [random.random() for _ in range(4)]
        answers = [function.handler(event, Context()) for event in json.loads(line)]
        _say({"random": numbers, "answers": answers})
        os._exit(0)


def _say(content: object) -> None:
    sys.stdout.write(f"said: {json.dumps(content)}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
