"""`csip show skeletons`: pictures of what `csip extract` wrote, and of what a run made."""

from tests.flows.commands.command_line import csip_line


def test_show_says_what_to_name_where_nothing_has_been_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = csip_line("show", "skeletons", "0001C1T0001", status=1)
    assert "no run in this store" in said
    assert "--config" in said
