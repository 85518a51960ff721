"""Compare the whole pool with the records, in a run that outlives its invocations.

Public: `Reconcile`, `Command`, `CheckpointStore`, and the module `drift`.
"""
