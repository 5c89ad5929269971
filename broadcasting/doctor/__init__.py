"""Walk the way of an event hop by hop, and say what to change where it ends.

Looks at a project from outside, as its own web process, worker and browser would; the
sockets it opens are real. Never prints a secret.
"""
