"""Our record of each user: their Whop user, their status, and the lease of the worker that changes it.

Public: `UserRepository`, `Record`, `Status`, `next_action`, `StaleRecord`, `AlreadyReserved`, `Runs`, and the module
`admin`.
"""
