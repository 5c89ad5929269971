"""The README and the documentation do what they say: their snippets run.

Python blocks run in the order of their page, in one namespace that stands for a shop's
project. A block under ``<!-- not run: reason -->`` is only compiled. Settings are given to
the settings' own parser. JSON must parse; JavaScript must compile (by node, where it is).
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
import types
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.template import Template
from django.test import override_settings
from django.urls import include, path

from broadcasting import conf, testing
from broadcasting.authorization import finders, resolver, routes
from broadcasting.authorization.lists import register_lists
from broadcasting.client_events import handlers
from broadcasting.listeners import listeners
from tests.testapp.models import Order

ROOT = Path(__file__).parent.parent
PAGES = [
    ROOT / "README.md",
    *sorted(p for p in (ROOT / "docs").rglob("*.md") if "_build" not in p.parts),
]
_FENCE = re.compile(r"^( *)```([\w+]+)\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
_NOT_RUN = re.compile(r"<!-- not run: .+ -->\s*\Z")


@dataclass(frozen=True)
class Block:
    page: Path
    line: int
    language: str
    text: str
    run: bool


def blocks_of(page: Path) -> Iterator[Block]:
    source = page.read_text(encoding="utf-8")
    for match in _FENCE.finditer(source):
        lines = match[3].splitlines(keepends=True)
        text = "".join(line.removeprefix(match[1]) for line in lines)
        before = source[: match.start()]
        run = _NOT_RUN.search(before) is None
        yield Block(page, before.count("\n") + 1, match[2], text, run)


BLOCKS = [block for page in PAGES for block in blocks_of(page)]


def ident(value: Any) -> str:
    page = value.page if isinstance(value, Block) else value
    name = str(page.relative_to(ROOT))
    return f"{name}:{value.line}" if isinstance(value, Block) else name


@pytest.fixture
def shop(db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """What a reader's project has: a shop with an order, its customer and a colleague."""
    customer = User.objects.create_user("customer")
    order = Order.objects.create(customer=customer)
    models = types.ModuleType("shop.models")
    models.Order = Order  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "shop", types.ModuleType("shop"))
    monkeypatch.setitem(sys.modules, "shop.models", models)
    monkeypatch.setenv("BROADCASTING_SECRET", "a secret of more than sixteen characters")
    registries = (routes, finders, resolver, handlers, listeners)
    with ExitStack() as stack:
        for registry in registries:
            stack.enter_context(registry.isolated())
        stack.enter_context(testing.fake())
        yield {
            "__name__": "shop.page",
            "Order": Order,
            "User": User,
            "customer": customer,
            "include": include,
            "order": order,
            "path": path,
            "user": customer,
        }


@pytest.mark.parametrize(
    "doc", [p for p in PAGES if any(b.language == "python" for b in blocks_of(p))], ids=ident
)
def test_the_python_of_a_page_runs(doc: Path, shop: dict[str, Any]):
    module = types.ModuleType("shop.page")
    module.__dict__.update(shop)
    sys.modules["shop.page"] = module
    try:
        for block in blocks_of(doc):
            if block.language != "python":
                continue
            padding = "\n" * block.line
            code = compile(padding + block.text, str(doc), "exec", dont_inherit=True)
            if not block.run:
                continue
            exec(code, module.__dict__)  # noqa: S102 - our own documentation
            register_lists([module])
            written = module.__dict__.pop("BROADCASTING", None)
            if written is not None:
                with override_settings(BROADCASTING=written):
                    assert conf.problems() == [], f"{doc}:{block.line}"
    finally:
        del sys.modules["shop.page"]


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.language == "json"], ids=ident)
def test_json_parses(block: Block):
    json.loads(block.text)


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.language == "html+django"], ids=ident)
def test_templates_compile(block: Block):
    Template(block.text)


@pytest.mark.node
@pytest.mark.parametrize(
    "block", [b for b in BLOCKS if b.language in ("javascript", "js")], ids=ident
)
def test_javascript_compiles(block: Block):
    node = shutil.which("node")
    assert node, "node is missing; ./dev test brings it"
    done = subprocess.run(
        [node, "--check", "--input-type=module", "-"],
        input=block.text,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_installation_page_knows_every_extra():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    page = (ROOT / "docs" / "howto" / "install.md").read_text(encoding="utf-8")
    told = re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)
    assert sorted(told) == sorted(project["optional-dependencies"])


def test_every_relative_link_of_the_readme_leads_somewhere():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", text):
        assert (ROOT / target).exists(), target
