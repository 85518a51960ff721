"""Lambda: the interpreter, the log lines, resource policies, and the checks of an SQS event source."""

import contextlib
import os
import threading
from pathlib import Path
from typing import Any

from ministack.core import iam_evaluator, lambda_runtime
from ministack.core.responses import error_response_json, get_account_id
from ministack.services import lambda_svc, sqs
from ministack.services.cloudformation import provisioners

from local.emulator.patching import Function, wrap, wrap_resource

_BEFORE_THE_HANDLER_IS_IMPORTED = "    # After sys.path is complete (so a function that bundles its own botocore\n"
_LOG_LOCK = threading.Lock()


def install() -> None:
    """Apply the patches of this module."""
    if lambda_runtime._PYTHON_WORKER_SCRIPT.count(_BEFORE_THE_HANDLER_IS_IMPORTED) != 1:
        raise RuntimeError("the worker script of ministack is not the one that this patch was written for")
    wrap(lambda_runtime, "_detect_runtime_binary", _handlers_own_python)
    wrap(lambda_runtime.Worker, "_read_stderr", _every_line_to_the_log_file)
    wrap(lambda_svc, "_create_esm", _visibility_covers_the_timeout)
    wrap_resource(
        provisioners._RESOURCE_HANDLERS,
        "AWS::Lambda::EventSourceMapping",
        create=_visibility_covers_the_timeout_in_stack,
    )


def restart() -> None:
    """End every warm function, so that the next invocation starts it anew."""
    lambda_runtime.reset()


def _handlers_own_python(stock: Function) -> Function:
    """Stock runs handlers with its own interpreter and packages, and searches layers before the function's code.

    AWS runs the runtime's Python, and searches the code (/var/task) before the layers (/opt).
    https://docs.aws.amazon.com/lambda/latest/dg/python-package.html#python-package-searchpath
    """

    def detect(runtime: str) -> tuple[str, str]:
        binary, script = stock(runtime)
        if runtime.startswith("python"):
            binary = os.environ.get("LAMBDA_PYTHON") or binary
            code_first = "    sys.path.remove(code_dir); sys.path.insert(0, code_dir)\n"
            if source := os.environ.get("PACKAGE_SOURCE"):
                code_first += f"    sys.path.insert(1, {source!r})\n"
            script = script.replace(_BEFORE_THE_HANDLER_IS_IMPORTED, code_first + _BEFORE_THE_HANDLER_IS_IMPORTED)
        return binary, script

    return detect


def _every_line_to_the_log_file(stock: Function) -> Function:
    """Stock sends lines to CloudWatch Logs with the next answer, and loses those after the last answer.

    On AWS, CloudWatch Logs gets every line. Here the file ``FUNCTION_LOG`` does.
    """
    if not os.environ.get("FUNCTION_LOG"):
        return stock
    path = Path(os.environ["FUNCTION_LOG"])

    def read(worker: Any) -> None:
        with contextlib.suppress(OSError, ValueError):  # stopping the worker closes the pipe during the read
            for line in worker._proc.stderr:
                with _LOG_LOCK, path.open("a", encoding="utf-8") as log:
                    log.write(f"{worker.func_name}\t{line.rstrip()}\n")
                worker._stderr_queue.put(line.rstrip("\n"))

    return read


def _too_short(queue_arn: str, function: Any) -> str | None:
    """Why AWS refuses this event source, or None.

    AWS raises InvalidParameterValueException if the queue's visibility timeout is less than the function's timeout.
    Stock does not check it.
    https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
    """
    if ":sqs:" not in queue_arn or function is None:
        return None
    queue = sqs._queues.get(sqs._queue_url(queue_arn.rsplit(":", 1)[-1])) or {}
    visibility = int((queue.get("attributes") or {}).get("VisibilityTimeout", 30))
    timeout = int((function.get("config") or {}).get("Timeout", 3))
    if visibility >= timeout:
        return None
    return f"Queue visibility timeout: {visibility} seconds is less than Function timeout: {timeout} seconds"


def _visibility_covers_the_timeout(stock: Function) -> Function:
    def create(data: dict[str, Any]) -> Any:
        function, _, _ = lambda_svc._get_func_record_for_ref(data.get("FunctionName", ""))
        reason = _too_short(data.get("EventSourceArn", ""), function)
        return error_response_json("InvalidParameterValueException", reason, 400) if reason else stock(data)

    return create


def _visibility_covers_the_timeout_in_stack(stock: Function) -> Function:
    def create(logical_id: str, props: dict[str, Any], stack_name: str) -> Any:
        function, _, _ = lambda_svc._get_func_record_for_ref(props.get("FunctionName", ""))
        reason = _too_short(props.get("EventSourceArn", ""), function)
        if reason:
            raise ValueError(reason)
        return stock(logical_id, props, stack_name)

    return create


def may_invoke(function_ref: str, service: str, source_arn: str) -> bool:
    """Whether the function's resource policy allows ``service`` to invoke it for ``source_arn``.

    Stock does not check it. AWS checks the policy of the exact function, version or alias that is called.
    https://docs.aws.amazon.com/lambda/latest/dg/access-control-resource-based.html
    """
    function, _, name = lambda_svc._get_base_func_record_for_ref(function_ref)
    if function is None:
        return False
    _, qualifier = lambda_svc._resolve_name_and_qualifier(function_ref)
    resource = lambda_svc._policy_resource_arn(name, qualifier)
    return any(_allows(statement, resource, service, source_arn) for statement in function["policy"]["Statement"])


def _allows(statement: dict[str, Any], resource: str, service: str, source_arn: str) -> bool:
    condition = statement.get("Condition") or {}
    pattern = (condition.get("ArnLike") or {}).get("AWS:SourceArn", "*")
    account = (condition.get("StringEquals") or {}).get("AWS:SourceAccount", get_account_id())
    return bool(
        statement["Resource"] == resource
        and iam_evaluator._service_principal_matches(statement["Principal"], service)
        and iam_evaluator.fnmatch_iam_cs(source_arn, pattern)
        and account == get_account_id()
    )
