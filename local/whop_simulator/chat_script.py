"""Stand-ins for Whop's chat scripts, for pages that embed the chat.

``/elements/embedded-components.js`` has the shape of Whop's embedded components 1.2, and
``/elements/whop-elements.js`` that of Whop Elements 1.10. Both set ``window.WhopElements``, as Whop's scripts do, and
show the same frame.
"""

from pathlib import Path

from local.whop_simulator.wire import Response

PREFIX = "/elements/"
_FOLDER = Path(__file__).parent / "elements"
_TYPES = {".js": "text/javascript; charset=utf-8", ".html": "text/html; charset=utf-8"}


def file(path: str) -> Response:
    """The file of this request path, or 404."""
    name = path.removeprefix(PREFIX)
    if name not in {each.name for each in _FOLDER.iterdir()}:
        return Response(404)
    found = _FOLDER / name
    headers = (("content-type", _TYPES[found.suffix]), ("cache-control", "no-store"))
    return Response(200, headers, found.read_bytes())
