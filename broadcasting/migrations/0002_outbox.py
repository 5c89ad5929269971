import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("broadcasting", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="OutboxEntry",
            fields=[
                (
                    "number",
                    models.BigAutoField(primary_key=True, serialize=False, verbose_name="number"),
                ),
                ("job", models.CharField(max_length=100, verbose_name="job")),
                ("label", models.CharField(blank=True, max_length=300, verbose_name="label")),
                ("lines", models.TextField(blank=True, verbose_name="lines")),
                ("body", models.TextField(verbose_name="body")),
                ("due_at", models.DateTimeField(editable=False, verbose_name="due")),
                ("expires_at", models.DateTimeField(editable=False, verbose_name="expires")),
                ("attempts", models.PositiveIntegerField(default=0, verbose_name="attempts")),
                ("last_error", models.TextField(blank=True, verbose_name="last error")),
                ("claimed_by", models.CharField(blank=True, editable=False, max_length=32)),
                ("claimed_until", models.DateTimeField(blank=True, editable=False, null=True)),
                (
                    "parked_at",
                    models.DateTimeField(
                        blank=True, db_index=True, null=True, verbose_name="parked"
                    ),
                ),
                (
                    "created_at",
                    models.DateTimeField(
                        default=django.utils.timezone.now, editable=False, verbose_name="created"
                    ),
                ),
            ],
            options={
                "verbose_name": "outbox entry",
                "verbose_name_plural": "outbox entries",
                "ordering": ("-number",),
            },
        ),
        migrations.CreateModel(
            name="OutboxTurn",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("turns", models.BigIntegerField(default=0)),
            ],
        ),
    ]
