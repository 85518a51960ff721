"""One user brought up to date, from a message on the queue.

Public: `SyncQueue`, `SyncMessage`, `enqueue`, `SyncBatch`, `SyncUser`.
"""
