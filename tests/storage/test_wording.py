"""Names in sentences."""

import pytest

from storage.wording import listed


@pytest.mark.parametrize(
    ("names", "how", "said"),
    [
        ([], {}, ""),
        (["a"], {}, "a"),
        (list("abcde"), {}, "a, b, c, d, e"),
        (list("abcdef"), {}, "a, b, c, d, e and 1 more"),
        ([3, 4, 5], {"most": 1}, "3 and 2 more"),
        # `names` are only the first of them
        (["a", "b"], {"count": 1002}, "a, b and 1,000 more"),
        (list("abcdefg"), {"count": 9}, "a, b, c, d, e and 4 more"),
        (["a", "b"], {"count": 2}, "a, b"),
    ],
)
def test_the_first_names_are_listed_and_the_others_counted(names: list[object], how: dict[str, int], said: str) -> None:
    assert listed(names, **how) == said
