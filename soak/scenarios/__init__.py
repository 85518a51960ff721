"""The scenarios of the soak, one a module. The rest of `soak` is what they run in."""
