"""Rows that broadcast, where they meet other things: migrations, databases, other packages."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.contrib.contenttypes.models import ContentType
from django.db import migrations, models
from django.db.migrations.operations import CreateModel
from django.db.migrations.state import ModelState, ProjectState
from django.db.migrations.writer import MigrationWriter

from broadcasting import BroadcastsEvents
from broadcasting.testing import FakeBroadcasts
from tests.blog.models import Post

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])


class TestMigrations:
    def test_rows_of_data_migrations_are_silent(self, broadcasts: FakeBroadcasts) -> None:
        state = ProjectState()
        for model in (ContentType, Permission, Group, User, Post):
            state.add_model(ModelState.from_model(model))
        historical = state.apps.get_model("blog", "Post")
        row = historical.objects.create(title="One")
        row.delete()
        broadcasts.assert_nothing_broadcast()

    def test_they_name_the_mixin_where_it_stays(self) -> None:
        operation = CreateModel("Post", fields=[], bases=(BroadcastsEvents, models.Model))
        migration = migrations.Migration("0001", "blog")
        migration.operations = [operation]
        source = MigrationWriter(migration).as_string()
        assert "bases=(broadcasting.BroadcastsEvents, models.Model)" in source
