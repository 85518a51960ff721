"""The whole service in one process, on a virtual clock, with faults: `make soak`.

The functions run as they are deployed, from ``functions/*/app.py``. What they call is in memory. One seed decides every
random choice, so the same seed repeats a run call by call.
"""
