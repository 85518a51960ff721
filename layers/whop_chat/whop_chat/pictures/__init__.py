"""A picture of a stranger, fetched from the public internet and encoded anew. It knows no secret, user or table."""
