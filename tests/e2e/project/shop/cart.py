"""A cart of articles."""

from shop.prices import average, discount, total


class Cart:
    """Articles and their prices."""

    def __init__(self) -> None:
        self.prices: list[float] = []

    def add(self, price: float) -> None:
        """Put an article in."""
        self.prices.append(price)

    def to_pay(self, percent: float = 0.0) -> float:
        """What the customer pays."""
        return discount(total(self.prices), percent)

    def usual(self) -> float:
        """The usual price of an article."""
        return average(self.prices)
