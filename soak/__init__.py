"""The whole service in one process, on a clock of its own, with faults: `make soak`.

The functions run as they are deployed, from ``functions/*/app.py``; what they call is in memory. One seed decides all
that is left to chance, so a run that fails can be repeated as it was.
"""
