"""How a deployment ends when it does not do its work."""


class DeployError(Exception):
    """Nothing was deployed, or CloudFormation undid it. The message says why, and what to do."""


class Declined(Exception):
    """The operator did not want the change set."""
