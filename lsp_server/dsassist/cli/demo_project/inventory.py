"""A small shop's stock: what there is, what it costs, and what must be ordered."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Item:
    """One product on the shelf."""

    name: str
    price_cents: int
    quantity: int
    reorder_below: int = 5

    def needs_reorder(self) -> bool:
        """Whether the shelf is nearly empty."""
        return self.quantity < self.reorder_below

    def value_cents(self) -> int:
        """What everything of this product costs together."""
        return self.price_cents * self.quantity


@dataclass
class Inventory:
    """All products, by name."""

    items: dict[str, Item] = field(default_factory=dict)

    def add(self, item: Item) -> None:
        """Put a product on the shelf; more of a known one adds to its quantity."""
        if item.name in self.items:
            self.items[item.name].quantity += item.quantity
        else:
            self.items[item.name] = item

    def total_value_cents(self) -> int:
        """What the whole stock costs."""
        return sum(item.value_cents() for item in self.items.values())

    def to_reorder(self) -> list[Item]:
        """Products that are nearly gone, by name."""
        return sorted((item for item in self.items.values() if item.needs_reorder()), key=lambda item: item.name)
