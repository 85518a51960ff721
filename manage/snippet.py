"""Code for a team's own trigger function, so that it can enqueue the users of its events for the stack."""

import json

from manage.stack import Stack

# whop_chat.sync.queue reads the message. Cognito waits five seconds for the whole function and shows its errors to the
# user. So the timeouts are short, and the code raises nothing.
_PYTHON = '''\
import json

import boto3
from botocore.config import Config

_SOURCES = {{"PostConfirmation_ConfirmSignUp": "sign_up", "PostAuthentication_Authentication": "sign_in"}}
_sqs = boto3.client(
    "sqs",
    region_name={region},
    config=Config(connect_timeout=0.5, read_timeout=0.5, retries={{"total_max_attempts": 2}}),
)


def enqueue_user(event):
    """Call this with the event before you return it."""
    source = _SOURCES.get(event["triggerSource"])
    if source is None:
        return
    try:
        message = {{
            "version": 1,
            "pool": event["userPoolId"],
            "username": event["userName"],
            "sub": event["request"]["userAttributes"]["sub"],
            "source": source,
            "client": event.get("callerContext", {{}}).get("clientId"),
        }}
        _sqs.send_message(QueueUrl={queue_url}, MessageBody=json.dumps(message))
    except Exception as error:  # A first token enrols the user in any case.
        print(f"user not enqueued: {{type(error).__name__}}")
'''

_NODE = """\
import {{ SQSClient, SendMessageCommand }} from "@aws-sdk/client-sqs";

const SOURCES = {{ PostConfirmation_ConfirmSignUp: "sign_up", PostAuthentication_Authentication: "sign_in" }};
const sqs = new SQSClient({{ region: {region}, maxAttempts: 2 }});

// Await this with the event before you return it.
export async function enqueueUser(event) {{
  const source = SOURCES[event.triggerSource];
  if (!source) return;
  try {{
    const message = {{
      version: 1,
      pool: event.userPoolId,
      username: event.userName,
      sub: event.request.userAttributes.sub,
      source,
      client: event.callerContext?.clientId,
    }};
    const command = new SendMessageCommand({{ QueueUrl: {queue_url}, MessageBody: JSON.stringify(message) }});
    await sqs.send(command, {{ abortSignal: AbortSignal.timeout(1000) }});
  }} catch (error) {{
    // A first token enrols the user in any case.
    console.log(`user not enqueued: ${{error.name}}`);
  }}
}}
"""


def python_code(stack: Stack) -> str:
    """Python code that sends the user of an event to the queue of ``stack``.

    Raises `Refused` if the stack has no queue.
    """
    return _filled(_PYTHON, stack)


def node_code(stack: Stack) -> str:
    """As `python_code`, for Node.js with version 3 of AWS's SDK."""
    return _filled(_NODE, stack)


def _filled(code: str, stack: Stack) -> str:
    return code.format(region=json.dumps(stack.region), queue_url=json.dumps(stack.output("SyncQueueUrl")))


def iam_statement(stack: Stack) -> str:
    """The IAM statement, as JSON, that the role of that function needs. With a KMS key of the team, a list of two.

    Raises `Refused` if the stack has no queue.
    """
    queue = stack.output("SyncQueueUrl").rpartition("/")[2]
    resource = f"arn:{stack.partition}:sqs:{stack.region}:{stack.account}:{queue}"
    send = {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": resource}
    key = stack.parameters.get("KmsKeyArn")
    if not key:
        return json.dumps(send, indent=2)
    # The sender to an encrypted queue needs the key too (SQS, "Encryption at rest").
    encrypt = {"Effect": "Allow", "Action": ["kms:Decrypt", "kms:GenerateDataKey"], "Resource": key}
    return json.dumps([send, encrypt], indent=2)
