"""Prices and what changes them."""


def total(prices: list[float]) -> float:
    """Sum of the prices."""
    result = 0.0
    for price in prices:
        result += price
    return result


def discount(price: float, percent: float) -> float:
    """The price less ``percent``, which is from 0 to 100."""
    if not 0 <= percent <= 100:
        raise ValueError(f"percent must be from 0 to 100, not {percent}")
    return price * (1 - percent / 100)


def average(prices: list[float]) -> float:
    """Mean price; 0 for no prices."""
    if not prices:
        return 0.0
    return total(prices) / len(prices)
