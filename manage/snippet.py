"""Code for a team's own PostConfirmation function, so that it can announce sign-ups to the stack's queue."""

import json

from manage.stack import Stack

# whop_chat.sync.queue reads the message. Cognito waits five seconds for the whole function and shows its errors to the
# user. So the timeouts are short, and the code raises nothing.
_CODE = '''\
import json

import boto3
from botocore.config import Config

_sqs = boto3.client(
    "sqs",
    region_name={region},
    config=Config(connect_timeout=0.5, read_timeout=0.5, retries={{"total_max_attempts": 2}}),
)


def announce(event):
    """Call this with the event before you return it."""
    if event["triggerSource"] != "PostConfirmation_ConfirmSignUp":
        return
    try:
        message = {{
            "version": 1,
            "pool": event["userPoolId"],
            "username": event["userName"],
            "sub": event["request"]["userAttributes"]["sub"],
            "source": "sign_up",
            "client": event.get("callerContext", {{}}).get("clientId"),
        }}
        _sqs.send_message(QueueUrl={queue_url}, MessageBody=json.dumps(message))
    except Exception as error:  # A first token enrols the user in any case.
        print(f"sign-up not announced: {{type(error).__name__}}")
'''


def python_code(stack: Stack) -> str:
    """Python code that sends a sign-up to the queue of ``stack``. Raises `Refused` if the stack has no queue."""
    return _CODE.format(region=json.dumps(stack.region), queue_url=json.dumps(stack.output("SyncQueueUrl")))


def iam_statement(stack: Stack) -> str:
    """The IAM statement, as JSON, that the role of that function needs. Raises `Refused` if the stack has no queue."""
    queue = stack.output("SyncQueueUrl").rpartition("/")[2]
    resource = f"arn:{stack.partition}:sqs:{stack.region}:{stack.account}:{queue}"
    return json.dumps({"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": resource}, indent=2)
