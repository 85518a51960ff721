"""What a run hands out that no log line may hold: keys, tokens, passwords, e-mail addresses, user names."""

import re
from collections.abc import Callable, Iterable

_PIECE = 20


class Confidential:
    """Collects confidential values while they are made, and looks for them in log lines.

    A secret counts as found when the first or the last 20 characters of one of its parts stand in a line, so a token
    that is cut is found as well. A person's data are found as whole words, whatever their case.
    """

    def __init__(self) -> None:
        self._searches: dict[str, tuple[str, Callable[[str], bool]]] = {}

    def __len__(self) -> int:
        return len(self._searches)

    def secret(self, kind: str, value: str) -> None:
        """A key, a token or a password; the parts of a JWT are looked for one by one."""
        for part in value.split("."):
            for piece in {part[:_PIECE], part[-_PIECE:]}:
                self._searches[piece.casefold()] = kind, lambda _line: True

    def email(self, address: str) -> None:
        """An e-mail address; its local part alone says enough of its owner."""
        self._word("e-mail address", address)
        self._word("e-mail address", address.partition("@")[0])

    def username(self, username: str, *, sub: str = "") -> None:
        """A user name, unless it is the sub, which logs may hold."""
        if username != sub:
            self._word("user name", username)

    def name(self, name: str) -> None:
        """What a person is called."""
        self._word("name", name)

    def _word(self, kind: str, value: str) -> None:
        word = value.casefold()
        whole = re.compile(rf"(?<![a-z0-9]){re.escape(word)}(?![a-z0-9])")
        self._searches[word] = kind, lambda line: whole.search(line) is not None

    def found_in(self, lines: Iterable[str]) -> list[str]:
        """What was found: its kind and the line, in which it is masked."""
        known = [(line, line.casefold()) for line in dict.fromkeys(lines)]
        everything = "\n".join(folded for _, folded in known)
        return [
            f"{kind} in: {re.sub(re.escape(needle), '…', line, flags=re.IGNORECASE)[:300]}"
            for needle, (kind, matches) in self._searches.items()
            if needle in everything
            for line, folded in known
            if needle in folded and matches(folded)
        ]
