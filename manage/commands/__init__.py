"""One module for each command. A module whose name starts with an underscore is shared by several. Each command has

=====================  =====================================================================================
``NAME``, ``HELP``     its name on the command line, and its line in the help
``add_arguments``      adds its arguments, besides ``--stack``, ``--region`` and ``--json``
``run``                does the work and returns the exit status; raises `Refused`, `NotDone` or an AWS error
=====================  =====================================================================================
"""
