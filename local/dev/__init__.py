"""``make dev``: the local stack stays up, and a page shows what an app and its user see of it.

`running` deploys the stack and deploys it again when a source changes. `playground` is what the page can do to it, and
`log` what the functions write. `server` serves the page, and checks who asks. The page itself is plain HTML, CSS and
JavaScript in ``page/``, with the client of ``clients/typescript``.
"""
