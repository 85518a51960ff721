"""Asks Whop's sandbox what Whop's documents leave open.

`questions` lists what is asked and what we assume, `probes` and `oauth_probes` find each answer, `client` makes the
calls, `responses` reads what Whop answers, `cleanup` deletes what the probes created, and `report` asks and prints the
table.
"""
