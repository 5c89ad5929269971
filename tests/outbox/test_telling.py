"""What checks, the doctor and the command say about an outbox."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.checks import CheckMessage, run_checks
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from broadcasting.checks.outbox import check_outbox_table
from broadcasting.doctor.carriers import check_queue
from broadcasting.doctor.examination import Visit, Wish
from broadcasting.doctor.report import Doubtful, Failed
from broadcasting.models import OutboxEntry
from broadcasting.queues import get_queue
from tests.outbox.conftest import relay, sent
from tests.outbox.site import FlakyBroadcaster, Said

Use = Callable[..., None]

pytestmark = pytest.mark.django_db(transaction=True)


def told(check: str) -> list[CheckMessage]:
    return [m for m in run_checks(tags=["broadcasting"]) if m.id == f"broadcasting.{check}"]


class TestChecks:
    def test_a_relay_beside_sockets_needs_no_crossing_backplane(self, configure: Any) -> None:
        configure(QUEUE={"BACKEND": "outbox"})
        assert told("E008")
        configure(QUEUE={"BACKEND": "outbox", "OPTIONS": {"relay": True}})
        assert told("E008") == []
        then = "tests.sending.kept.KeptQueue"
        configure(QUEUE={"BACKEND": "outbox", "OPTIONS": {"relay": True, "then": then}})
        assert told("E008")

    def test_a_wrong_option_is_e002(self, configure: Any) -> None:
        configure(QUEUE={"BACKEND": "outbox", "OPTIONS": {"batch": 0}})
        (found,) = told("E002")
        assert "'batch'" in found.msg

    def test_missing_tables(self, outbox: Use, configure: Any) -> None:
        outbox(relay=True)
        assert check_outbox_table(databases=["default"]) == []
        with connection.schema_editor() as editor:
            editor.delete_model(OutboxEntry)
        try:
            (found,) = check_outbox_table(databases=["default", "other"])
            assert found.id == "broadcasting.W046"
            assert "migrate broadcasting --database default" in (found.hint or "")
            # Nobody connects to a database that is not to be checked.
            assert check_outbox_table() == []
            with pytest.raises(Failed, match="cannot be read"):
                check_queue(1)
            configure(QUEUE={"BACKEND": "sync"})
            assert check_outbox_table(databases=["default"]) == []
            configure(QUEUE={"BACKEND": "nowhere"})
            assert check_outbox_table(databases=["default"]) == []
        finally:
            with connection.schema_editor() as editor:
                editor.create_model(OutboxEntry)

    def test_the_app_must_be_installed(self, outbox: Use, settings: Any) -> None:
        settings.INSTALLED_APPS = [app for app in settings.INSTALLED_APPS if app != "broadcasting"]
        with pytest.raises(ImproperlyConfigured, match="INSTALLED_APPS"):
            get_queue()


class TestDoctor:
    @pytest.fixture(autouse=True)
    def beside(self, outbox: Use) -> None:
        outbox(relay=True)

    def test_all_is_well(self) -> None:
        assert "0 in 'default'" in check_queue(1)
        Said(1).dispatch()
        assert "1 in 'default'" in check_queue(1)

    def test_how_old_the_oldest_is_that_nobody_relays(self) -> None:
        Said(1).dispatch()
        Said(2).delay(1000).dispatch()
        OutboxEntry.objects.filter(due_at__lt=timezone.now()).update(
            due_at=timezone.now() - timedelta(seconds=500)
        )
        with pytest.raises(Failed, match=r"oldest of 1 .* has waited for 500 s") as found:
            check_queue(1)
        assert "broadcasting_relay" in str(found.value.cure)

    def test_what_was_given_up(self) -> None:
        FlakyBroadcaster.faulty = {"news"}
        Said(1).dispatch()
        relay()
        with pytest.raises(Doubtful, match=r"1 event.* given up"):
            check_queue(1)

    def test_what_may_hold_up_an_event(self, configure: Any) -> None:
        configure(
            BROADCASTERS={"default": {"BACKEND": "channels"}},
            BACKPLANE={"BACKEND": "redis", "OPTIONS": {"url": "redis://127.0.0.1:1"}},
        )

        class Deaf(Visit):
            @property
            def socket(self) -> Any:
                raise TimeoutError

        with ExitStack() as stack, pytest.raises(Failed, match="did not reach") as found:
            Deaf(Wish(), stack).dispatch()
        assert "broadcasting_relay" in str(found.value.cure)


class TestCommand:
    def test_once(self, outbox: Use) -> None:
        Said(1).dispatch()
        out = StringIO()
        call_command("broadcasting_relay", once=True, stdout=out)
        assert "handed on" in out.getvalue()
        assert sent() == [1]

    def test_without_an_outbox(self, configure: Any) -> None:
        configure(QUEUE={"BACKEND": "sync"})
        with pytest.raises(CommandError, match="There is no outbox"):
            call_command("broadcasting_relay")
