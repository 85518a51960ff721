"""The whole pool against the records: a run that outlives its invocations.

Public: `Reconcile`, `Command`, `CheckpointStore`, and the module `drift`.
"""
