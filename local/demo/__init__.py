"""``python -m local.demo``: the whole path on this machine, a line a step, non-zero exit if one is not as it should be.

No Docker, no AWS account, no Whop account: the real template on the emulator, with the Whop simulator behind it.
"""
