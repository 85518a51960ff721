"""AWS on 127.0.0.1: MiniStack, patched where it differs from AWS in a way that matters to this stack.

``python -m local.emulator`` runs it. Its environment needs ``ministack`` in the version `TESTED`, ``cryptography`` and
``aws-sam-translator``. There is one module a service. Each patch says what stock MiniStack does and what AWS does. The
patches use private names of MiniStack, so the emulator refuses to start with another version.

Environment, all optional:

========================  ==========================================================================================
``GATEWAY_PORT``          the port, 4566 by default
``AUTH``                  ``true``: check signatures, and enforce the policies of users and roles
``LAMBDA_PYTHON``         the interpreter for the handlers: Python 3.13 with the boto3 of the Lambda runtime
``PACKAGE_SOURCE``        a folder whose packages replace those of the layers, in functions that start from now on
``FUNCTION_LOG``          a file that gets every line of every function, as ``<function name>\t<line>``
``DECISION_LOG``          a file that gets every call of a role, as ``<role>\t<action>\t<Sid that allowed it>``
``TMPDIR``, ``STATE_DIR`` folders of this run: MiniStack unpacks the code of each warm function in the first
========================  ==========================================================================================

AWS does all of this, and the emulator does not: throttle the API, write access logs, retry an event that a rule could
not deliver, deploy through CodeDeploy, rotate secrets, evaluate alarms by itself, limit the time of an import, keep a
function's process alive after an exception.
"""

TESTED = "1.5.33"
