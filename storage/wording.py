"""Numbers of things in sentences, and many sentences below one."""

from collections.abc import Iterable, Sequence

SHOWN = 20
NAMED = 5


def many(number: int, what: str) -> str:
    """`1 file`, `2,000 files`."""
    return f"{number:,} {what}" + ("" if number == 1 else "s")


def have(number: int) -> str:
    """The verb after a number of things."""
    return "has" if number == 1 else "have"


def be(number: int) -> str:
    """The verb after a number of things."""
    return "is" if number == 1 else "are"


def listed(names: Sequence[object], most: int = NAMED, count: int | None = None) -> str:
    """The first names in a line, and how many more there are: `a, b and 3 more`.

    Args:
        names: all of them, or the first ones.
        most: how many are named.
        count: how many there are, where `names` are not all.
    """
    more = (len(names) if count is None else count) - min(most, len(names))
    return ", ".join(map(str, names[:most])) + (f" and {more:,} more" if more > 0 else "")


def below(problems: Iterable[str]) -> str:
    """The first problems, a line each, and how many more there are: what follows a message that ends in a colon."""
    listed = list(problems)
    more = [f"... and {len(listed) - SHOWN} more"] if len(listed) > SHOWN else []
    return "".join(f"\n  {line}" for line in [*listed[:SHOWN], *more])


def one_line(error: BaseException, most: int = 160) -> str:
    """What an exception of other people's code says, in one line."""
    return " ".join(str(error).split())[:most]
