"""AWS on 127.0.0.1: MiniStack with its gaps closed where this stack would meet them.

Run with ``python -m local.emulator`` in an environment that holds ``ministack`` in the version of `TESTED`,
``cryptography`` and ``aws-sam-translator``. One module a service; each patch says what stock MiniStack does and what
AWS does. The patches reach into private names, most of them looked up at start, so another version is refused.

Environment, all optional:

========================  ==========================================================================================
``GATEWAY_PORT``          the port, 4566 by default
``AUTH``                  ``true``: signatures are checked and the policies of users and roles are enforced
``LAMBDA_PYTHON``         the interpreter that runs the handlers: Python 3.13 with the boto3 of the Lambda runtime
``FUNCTION_LOG``          a file that receives every line any function writes, as ``<function name>\t<line>``
``TMPDIR``, ``STATE_DIR`` folders of this run: the code of each warm function is unpacked in the first
========================  ==========================================================================================

What it does not do, and AWS does: throttle the API, write access logs, apply resource policies of queues and secrets to
calls inside the account, deploy through CodeDeploy, rotate secrets, evaluate alarms by itself, limit the time of an
import, keep a function's process alive after an exception.
"""

TESTED = "1.5.33"
