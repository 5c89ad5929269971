"""The Pusher Channels protocol, version 7, as pure functions and values.

House rules: this package imports the standard library only, and PyNaCl in ``encryption``.
No sockets, no clock, no random numbers, no logging, no Django: time and secrets are passed
in, what happened is returned, what the peer did wrong is raised as a ``ProtocolError``.
"""
