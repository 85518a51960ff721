"""The operator's commands for a deployed stack: ``python -m manage --stack NAME [--region R] [--json] COMMAND …``.

They run with the operator's own AWS credentials. `manage.commands` has one module for each command; the other modules
are what the commands work with.
"""
