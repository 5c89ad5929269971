import uuid

import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="WebhookDelivery",
            fields=[
                (
                    "number",
                    models.BigAutoField(primary_key=True, serialize=False, verbose_name="number"),
                ),
                (
                    "uuid",
                    models.UUIDField(
                        default=uuid.uuid4, editable=False, unique=True, verbose_name="id"
                    ),
                ),
                ("app_id", models.CharField(max_length=100, verbose_name="application")),
                ("url", models.TextField(verbose_name="URL")),
                ("lane", models.CharField(editable=False, max_length=64)),
                ("names", models.CharField(max_length=200, verbose_name="events")),
                ("body", models.TextField(verbose_name="body")),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("pending", "pending"),
                            ("delivered", "delivered"),
                            ("failed", "failed"),
                        ],
                        default="pending",
                        max_length=10,
                        verbose_name="status",
                    ),
                ),
                ("attempts", models.PositiveIntegerField(default=0, verbose_name="attempts")),
                (
                    "last_status",
                    models.PositiveSmallIntegerField(
                        blank=True, null=True, verbose_name="last answer"
                    ),
                ),
                ("last_error", models.TextField(blank=True, verbose_name="last error")),
                ("due_at", models.DateTimeField(blank=True, editable=False, null=True)),
                ("retry_until", models.DateTimeField(editable=False)),
                (
                    "created_at",
                    models.DateTimeField(
                        default=django.utils.timezone.now, editable=False, verbose_name="created"
                    ),
                ),
                (
                    "updated_at",
                    models.DateTimeField(
                        default=django.utils.timezone.now, editable=False, verbose_name="updated"
                    ),
                ),
            ],
            options={
                "verbose_name": "webhook delivery",
                "verbose_name_plural": "webhook deliveries",
                "ordering": ("-number",),
                "indexes": [
                    models.Index(fields=["lane", "status", "number"], name="broadcasting_wd_lane"),
                    models.Index(fields=["status", "due_at"], name="broadcasting_wd_due"),
                    models.Index(fields=["created_at"], name="broadcasting_wd_created"),
                ],
            },
        ),
    ]
