"""Numbers of things in sentences."""


def many(number: int, what: str) -> str:
    """`1 file`, `2,000 files`."""
    return f"{number:,} {what}" + ("" if number == 1 else "s")


def have(number: int) -> str:
    """The verb after a number of things."""
    return "has" if number == 1 else "have"


def be(number: int) -> str:
    """The verb after a number of things."""
    return "is" if number == 1 else "are"
