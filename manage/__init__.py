"""The operator's commands for a deployed stack: ``python -m manage --stack NAME [--region R] [--json] COMMAND …``.

They run with the operator's own AWS credentials. One module a command, each with

=====================  =============================================================================================
``NAME``, ``HELP``     how it is called, and its line in the help
``add_arguments``      what it takes beyond ``--stack``, ``--region`` and ``--json``
``run``                does it; gives the exit status, or raises `manage.console.Refused`
=====================  =============================================================================================
"""
