"""What the soak runs, one scenario a module; the rest of `soak` is what they run in."""
