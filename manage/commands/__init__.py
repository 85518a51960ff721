"""One module a command; see `manage`."""
