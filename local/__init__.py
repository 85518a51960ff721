"""The local cloud: the real template on this machine, with no Docker and no AWS account.

`local.emulator` is AWS and `local.whop_simulator` is Whop. `local.stack` starts both and deploys `template.yaml`
between them. `local.demo` takes one user the whole way, and `local.dev` keeps a stack up for an app's developer.
`local.whop_check` compares Whop's sandbox with what the simulator assumes. Nothing in here is deployed.
"""
