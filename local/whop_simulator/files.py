"""/files: a file is created, uploaded to storage by a PUT, and processed. Then it can be a picture."""

import hashlib
import mimetypes
import secrets

from local.whop_simulator import rules, versions
from local.whop_simulator.call import Call
from local.whop_simulator.readings import Readings
from local.whop_simulator.rules import implements
from local.whop_simulator.state import ApiKey, File
from local.whop_simulator.wire import ApiError, Json, Response, json_response, optional_string, timestamp

STORAGE = "/storage"
"""Where the simulator's storage is. At Whop it is another host."""

_URL_SECONDS = 3600
_SLOW_SECONDS = 60
_LOOPBACK = ("127.0.0.1", "[::1]", "localhost")


@implements(rules.FILE_CREATE, rules.FILE_SHAPE)
def create(call: Call) -> Response:
    """POST /files: a file without content, and where to upload it."""
    key = call.require_key()
    filename = optional_string(call.body, "filename")
    if not filename:
        raise ApiError(400, "Missing required parameter: filename.", code="parameter_missing")
    visibility = optional_string(call.body, "visibility") or "private"
    if visibility not in ("public", "private"):
        raise ApiError(400, "visibility is public or private.", code="parameter_invalid")
    file = File(
        id=call.state.new_id("file"),
        key_id=key.id,
        filename=filename,
        content_type=mimetypes.guess_type(filename)[0] or "application/octet-stream",
        visibility=visibility,
        signature=secrets.token_urlsafe(24),
        created_at=call.now,
    )
    call.state.files[file.id] = file
    upload = {"upload_url": _upload_url(call, file), "upload_headers": {"Content-Type": file.content_type}}
    return json_response(201, _file_json(call, file) | upload)


@implements(rules.FILE_READ, rules.FILE_PROCESSING)
def retrieve(call: Call) -> Response:
    """GET /files/{id}, by the key that created it."""
    file = readable(call, call.resource)
    _process(file, call.readings, call.now)
    return json_response(200, _file_json(call, file))


@implements(rules.FILE_UPLOAD, rules.FILE_UPLOAD_HOUR)
def upload(call: Call) -> Response:
    """PUT of the content to the address in the answer of the create. Storage knows its signature, and no API key."""
    request, file = call.request, call.state.files.get(call.resource)
    if file is None or request.parameter("signature") != file.signature or request.header("authorization") is not None:
        return Response(403)
    if call.now >= file.created_at + _URL_SECONDS or request.header("content-type") != file.content_type:
        return Response(403)
    file.size, file.sha256 = len(request.body), hashlib.sha256(request.body).hexdigest()
    file.uploaded_at, file.status = call.now, "processing"
    if call.readings.file_processing == "at_once":
        file.status = "ready"
    return Response(200)


@implements(rules.FILE_READ, rules.FILE_ATTACH)
def attachable(call: Call, file_id: str) -> File:
    """The file, if it can become a picture now. Raises `ApiError` (404, 400) if not."""
    file = readable(call, file_id)
    if file.uploaded_at is None or (file.status != "ready" and not call.readings.file_attached_before_ready):
        raise ApiError(400, "The file is not ready.", code="file_not_ready")
    return file


def readable(call: Call, file_id: str) -> File:
    """The file, if the caller created it. Raises `ApiError` (404) if not."""
    file, caller = call.state.files.get(file_id), call.key
    if file is None or not isinstance(caller, ApiKey) or file.key_id != caller.id:
        raise ApiError(404, f"File not found: {file_id}")
    return file


def url(file: File) -> str | None:
    """Where the file can be seen, once it is uploaded."""
    return None if file.uploaded_at is None else f"https://files.whop.test/{file.id}"


def _process(file: File, readings: Readings, now: float) -> None:
    """Each look shows the state before, and may end the processing."""
    if file.status != "processing" or file.uploaded_at is None:
        return
    file.looks += 1
    match readings.file_processing:
        case "at_once":
            file.status = "ready"
        case "after_a_look" if file.looks > 1:
            file.status = "ready"
        case "after_a_minute" if now >= file.uploaded_at + _SLOW_SECONDS:
            file.status = "ready"
        case "failed":
            file.status = "failed"


@implements(rules.FILE_VERSION)
def _file_json(call: Call, file: File) -> Json:
    shown: Json = {
        "id": file.id,
        "filename": file.filename,
        "content_type": file.content_type,
        "upload_status": file.status,
        "size": file.size,
        "url": url(file),
        "created_at": timestamp(file.created_at),
    }
    if not versions.at_least(call.version, versions.NATIVE_FILES):
        return shown | {"size": None if file.size is None else str(file.size)}
    return shown | {"object": "file", "visibility": file.visibility, "removed_by_moderation": False}


def _upload_url(call: Call, file: File) -> str:
    host = call.request.header("host") or "127.0.0.1"
    scheme = "http" if host.startswith(_LOOPBACK) else "https"
    return f"{scheme}://{host}{STORAGE}/{file.id}?signature={file.signature}"
