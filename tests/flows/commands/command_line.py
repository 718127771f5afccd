"""The command line as a user types it, in this process."""

from typer.testing import CliRunner

from flows.commands.app import app
from storage.store.artifacts import Store


def csip(*words: object, status: int = 0) -> str:
    """What a command says; checks how it ends."""
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == status, done.output
    return done.output


def csip_line(*words: object, status: int = 0) -> str:
    """As `csip`, with one space wherever there are several, or the end of a line."""
    return " ".join(csip(*words, status=status).split())


def refused(*words: object) -> str:
    """What a command says that must fail with one message."""
    said = csip_line(*words, status=1)
    assert "error: " in said
    assert "to do: " in said
    return said


def look(store: Store, command: str, *words: object, status: int = 0) -> str:
    """What a command says of a store."""
    return csip(command, *words, "--store", store.address, status=status)
