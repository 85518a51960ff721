"""A picture of a stranger, fetched from the public internet and encoded again. It knows no secret, user or table."""
