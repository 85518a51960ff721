"""The limit of a cold start: a function that does nothing."""


def handler(event: object, context: object) -> dict[str, int]:
    """Answer at once."""
    return {"statusCode": 200}
