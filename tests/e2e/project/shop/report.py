"""What was sold."""

from shop.cart import Cart
from shop.prices import total


def revenue(carts: list[Cart]) -> float:
    """What all customers pay."""
    return total([cart.to_pay() for cart in carts])


def summary(carts: list[Cart]) -> str:
    """One line for the owner."""
    return f"{len(carts)} carts, {revenue(carts):.2f} in all"
