"""Who and what the demo begins with. Running it again changes nothing that is there."""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib.auth.models import Permission, User
from django.db import transaction

from example_project.chat.models import Message, Room
from example_project.orders.models import Item, Order
from example_project.ticker.models import Activity

PASSWORD = "demo"

ACTIVITIES = (
    "The kiln was lit",
    "New order: one rimmed plate",
    "A new glaze is drying, and it is blue",
    "A teapot came out without a crack",
    "The cat was removed from the kiln, again",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoUser:
    """Somebody to sign in as."""

    username: str
    first_name: str
    last_name: str
    does: str


USERS = (
    DemoUser(username="seller", first_name="Sol", last_name="Ferrer", does="Ships the orders"),
    DemoUser(username="buyer", first_name="Bea", last_name="Okafor", does="Waits for her pots"),
    DemoUser(username="admin", first_name="Ada", last_name="Lindqvist", does="Sees everything"),
)


@transaction.atomic
def seed() -> None:
    """Create the demo's users, rooms and orders where they are missing."""
    people = {demo.username: person(demo) for demo in USERS}
    people["seller"].user_permissions.add(Permission.objects.get(codename="ship_order"))
    # Rooms and orders are made once: what visitors did with them stays.
    if not Room.objects.exists():
        counter = Room.objects.create(slug="counter", name="The counter", topic="Ask us anything")
        Room.objects.create(slug="kiln", name="Kiln talk", topic="Glazes, clay and cracks")
        Message.objects.create(
            room=counter,
            author=people["seller"],
            text="Good morning! The kiln is at 1,240 degrees.",
        )
        Message.objects.create(
            room=counter, author=people["buyer"], text="Then my bowl is warmer than I am."
        )
    if not Order.objects.exists():
        Order.place(customer=people["admin"], item=Item.PLATE)
        # The newest stand on top, and "ship one as the seller" means the buyer's.
        for item in (Item.MUG, Item.BOWL, Item.VASE):
            Order.place(customer=people["buyer"], item=item)
        for text in ACTIVITIES:
            Activity.objects.create(text=text)


def person(demo: DemoUser) -> User:
    """Return the user, made with the demo's password if need be."""
    # With the password at once: one that is set later is a change, which ends connections.
    return User.objects.filter(username=demo.username).first() or User.objects.create_user(
        demo.username,
        f"{demo.username}@example.com",
        PASSWORD,
        first_name=demo.first_name,
        last_name=demo.last_name,
        is_staff=demo.username == "admin",
        is_superuser=demo.username == "admin",
    )
