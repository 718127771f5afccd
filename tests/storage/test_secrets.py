import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.secrets import without_secrets


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("no file s3://bucket/a:b@c/d", "no file s3://bucket/a:b@c/d"),
        ("`http://me:pass@host:1/x`", "`http://***@host:1/x`"),
        ("http://me:p@ss@host", "http://***@host"),
        ("GET https://host/x?a=1&X-Amz-Signature=ab12&b=2: 403", "GET https://host/x?a=1&X-Amz-Signature=***&b=2: 403"),
        ("https://host/?password=a%20b", "https://host/?password=***"),
        ("mail someone@example.org, 12:30 @ noon", "mail someone@example.org, 12:30 @ noon"),
    ],
)
def test_passwords_and_signatures_of_addresses_are_hidden(text: str, shown: str) -> None:
    assert without_secrets(text) == shown


def test_values_of_variables_that_name_secrets_are_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "abc/def+1234")
    monkeypatch.setenv("MY_TOKEN", "short")
    monkeypatch.setenv("MY_HOME", "no secret")
    said = "abc/def+1234, abc/def%2B1234, abc%2Fdef%2B1234, short, no secret"
    assert without_secrets(said) == "***, ***, ***, short, no secret"


@given(st.text())
def test_hiding_twice_hides_no_more(text: str) -> None:
    assert without_secrets(without_secrets(text)) == without_secrets(text)
