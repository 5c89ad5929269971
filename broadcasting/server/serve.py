"""uvicorn, set up to hold many sockets in one process and to stop cleanly."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import socket
import struct
from collections.abc import Callable
from typing import Any

import uvicorn

from broadcasting.server.http import HttpProtocol
