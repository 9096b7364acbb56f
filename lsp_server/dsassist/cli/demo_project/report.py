"""Prints what the shop must know in the morning."""

from inventory import Inventory, Item


def euros(cents: int) -> str:
    """An amount as people write it: 1234 -> 12.34."""
    return f"{cents / 100:.2f}"


def morning_report(inventory: Inventory) -> str:
    """One line a product that must be ordered, then the value of the stock."""
    lines = [f"{item.name}: {item.quantity} left" for item in inventory.to_reorder()]
    lines.append(f"Stock is worth {euros(inventory.total_value_cents())}")
    return "\n".join(lines)


def most_valuable(inventory: Inventory) -> Item:
    """The product whose stock costs most."""
    return max(inventory.items.values(), key=lambda item: item.value_cents())
