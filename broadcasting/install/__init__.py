"""Turn a bare Django project into a live one by editing its text.

Works beside ``manage.py`` on source files alone: nothing here imports the project, needs
configured settings or an installed app. Every edit is located with ``ast`` and made in the
text, so that comments, quotes and line ends stay as their owner wrote them.
"""
