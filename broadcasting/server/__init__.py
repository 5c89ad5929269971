"""The receiving half: processes that hold sockets.

Never imported by a web worker or a queue's worker, and never imports the sending half:
the two meet on the floor (applications, backplanes, registry).
"""
