"""A user's picture brought up to date at Whop, from a message.

Public: `SyncAvatar`, `PictureFetcher`.
"""
