"""``python -m local.whop_check``: asks Whop's sandbox what Whop's documents leave open, and prints the answers.

It needs an API key of a sandbox account and an e-mail address with room for a number; it makes a score of connected
accounts under that account and deletes them again. Neither the key nor a token is ever printed.

Exit status: 0 every question that was asked is answered, 1 some are not, 2 it was not told what it needs.
"""
