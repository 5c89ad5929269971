"""Pages with real client libraries, on a running server."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

from tests.browser.conftest import Visitor
from tests.live import Server
from tests.node.process import HERE as NODE
from tests.node.process import executable

VUE_FLAGS = ("OPTIONS_API", "PROD_DEVTOOLS", "PROD_HYDRATION_MISMATCH_DETAILS")


def bundle(source: str, folder: Path) -> Path:
    """Return one module made of a source in tests/node and the libraries it imports."""
    target = folder / Path(source).with_suffix(".js").name
    node = executable()
    assert node is not None
    command = [str(NODE / "node_modules" / ".bin" / "esbuild"), source, f"--outfile={target}"]
    command += ["--bundle", "--format=esm", "--jsx=automatic", "--log-level=warning"]
    # The developer's builds, which complain aloud; strict mode is theirs alone.
    command += ['--define:process.env.NODE_ENV="development"']
    command += [f"--define:__VUE_{name}__=false" for name in VUE_FLAGS]
    path = f"{Path(node).parent}{os.pathsep}{os.environ['PATH']}"
    subprocess.run(command, cwd=NODE, env=os.environ | {"PATH": path}, check=True)
    return target


def open_page(
    visitor: Visitor, server: Server, *scripts: Path, options: Mapping[str, Any], kind: str = ""
) -> Page:
    """Return a page of ``server`` that runs ``scripts``, with ``window.options``.

    The document is one of the server's own: a browser lets no made-up one talk to loopback.
    """
    visitor.base_url = server.url
    visitor.context.route("**/favicon.ico", lambda route: route.fulfill(status=204))
    page = visitor.open()
    page.set_content('<div id="app"></div>')
    page.evaluate("(options) => { window.options = options; }", dict(options))
    for script in scripts:
        page.add_script_tag(path=script, type=kind)
    return page
