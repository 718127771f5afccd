"""Texts of others' errors without what lets whoever reads them in: they reach logs, records and the Prefect UI."""

import os
import re
from urllib.parse import quote

HIDDEN = "***"
USER = re.compile(r"(?<=://)[^\s/]*:[^\s/]*@")
NAMES = "token|secret|passw|signature|credential|sig|key"
PARAMETER = re.compile(rf"(?i)([?&;][^\s=&]*(?:{NAMES})[^\s=&]*=)[^\s&'\"`]+")
NAME = re.compile(r"(?i)secret|token|passw|api.?key")
SHORTEST = 8
"""Characters; a shorter value of a variable would be found in words that have nothing to do with it."""


def without_secrets(text: str) -> str:
    """The text without passwords and signatures in addresses, and without values of variables that name secrets."""
    text = PARAMETER.sub(rf"\g<1>{HIDDEN}", USER.sub(f"{HIDDEN}@", text))
    for name, value in os.environ.items():
        if NAME.search(name) and len(value) >= SHORTEST:
            for spelling in (value, quote(value), quote(value, safe="")):
                text = text.replace(spelling, HIDDEN)
    return text
