"""The local cloud: the real template on this machine, with no Docker and no AWS account.

`local.emulator` is the AWS side, `local.whop_simulator` the Whop side, `local.stack` starts both and deploys
`template.yaml` between them. Nothing in here is part of the deployed package.
"""
