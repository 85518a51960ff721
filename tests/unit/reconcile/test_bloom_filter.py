"""A set of users of fixed size."""

from whop_chat.reconcile._bloom_filter import FINGERPRINT_BYTES, BloomFilter, fingerprint


def prints(salt: str, kind: str, count: int) -> list[bytes]:
    return [fingerprint(salt, f"{kind}-{number}") for number in range(count)]


def test_nobody_who_was_added_is_forgotten_and_strangers_are_strangers() -> None:
    seen = BloomFilter()
    known = prints("run", "user", 20_000)
    seen.add(b"".join(known[:60]))
    for start in range(60, len(known), 60):
        seen.add(b"".join(known[start : start + 60]))

    assert all(print_ in seen for print_ in known)
    assert not any(print_ in seen for print_ in prints("run", "stranger", 20_000))


def test_a_user_has_another_fingerprint_in_another_run() -> None:
    first, second = fingerprint("run-1", "sub"), fingerprint("run-2", "sub")

    assert first != second
    assert len(first) == len(second) == FINGERPRINT_BYTES
    assert b"sub" not in first
