"""How the commands call AWS."""

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from whop_chat.runtime.aws import AwsError
from whop_chat.runtime.deadline import DeadlineExceeded

# An operator would rather wait than start anew.
PATIENT = Config(retries={"total_max_attempts": 5, "mode": "standard"})

ERRORS = (ClientError, BotoCoreError, AwsError, DeadlineExceeded)


def reason(error: Exception) -> str:
    """What AWS said, or why it was not asked, in one line."""
    if isinstance(error, ClientError):
        said = error.response.get("Error", {})
        return f"{error.operation_name}: {said.get('Code', 'Unknown')}: {said.get('Message', '')}"
    return " ".join(str(error).split()) or "AWS did not answer in time"
