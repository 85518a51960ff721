"""Our record of each user: who they are at Whop, and who may work on them now.

Public: `UserRepository`, `Record`, `Status`, `next_action`, `StaleRecord`, `AlreadyReserved`, and the module `admin`.
"""
