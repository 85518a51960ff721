"""Bring one user up to date at Whop, from a message on the queue.

Public: `SyncQueue`, `SyncMessage`, `enqueue`, `SyncBatch`, `SyncUser`.
"""
