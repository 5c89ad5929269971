"""A small pottery that shows what broadcasting does. Read it as a tour.

``ticker`` has a public channel, ``orders`` private ones, ``chat`` a presence channel;
``home`` is the frame around them.
"""

from example_project.celery import app as celery_app

__all__ = ["celery_app"]
