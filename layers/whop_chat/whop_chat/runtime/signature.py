"""AWS Signature Version 4 for a POST to the root of a service, which is all that AWS's JSON services take.

AWS, "Create a signed AWS API request". The tests hold it to botocore's.
"""

import hashlib
import hmac
import time
from collections.abc import Mapping


def signed(
    headers: Mapping[str, str], body: bytes, *, at: float, region: str, service: str, key_id: str, secret: str
) -> dict[str, str]:
    """``headers``, which name the host, with the date and the signature of all of them and of ``body``.

    ``at`` is in seconds since the epoch. AWS refuses a signature that is more than five minutes old.
    """
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(at))
    dated = {**headers, "X-Amz-Date": stamp}
    canonical = {name.lower(): " ".join(value.split()) for name, value in dated.items()}
    names = ";".join(sorted(canonical))
    lines = "".join(f"{name}:{canonical[name]}\n" for name in sorted(canonical))
    request = f"POST\n/\n\n{lines}\n{names}\n{hashlib.sha256(body).hexdigest()}"
    scope = f"{stamp[:8]}/{region}/{service}/aws4_request"
    to_sign = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = _hmac(key, part)
    signature = _hmac(key, to_sign).hex()
    authorization = f"AWS4-HMAC-SHA256 Credential={key_id}/{scope}, SignedHeaders={names}, Signature={signature}"
    return {**dated, "Authorization": authorization}


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), "sha256")
