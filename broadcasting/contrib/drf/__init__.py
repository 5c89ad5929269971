"""What meets Django REST framework."""

from django.core.exceptions import ImproperlyConfigured

try:
    import rest_framework as _rest_framework
except ImportError as error:
    raise ImproperlyConfigured(
        "broadcasting.contrib.drf needs Django REST framework: pip install djangorestframework"
    ) from error

del _rest_framework
