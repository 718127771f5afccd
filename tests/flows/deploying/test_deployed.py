from pathlib import Path

import pytest

from flows.deploying.deployed import with_overrides
from storage.errors import SettingsError


def test_the_parameters_of_a_run_may_not_name_code_and_its_configuration_may(tmp_path: Path) -> None:
    plain, own = tmp_path / "plain.yaml", tmp_path / "own.yaml"
    plain.write_text("name: plain\n")
    own.write_text("name: own\nencoder: {model: 'mine.py:Mine'}\n")
    with pytest.raises(SettingsError, match=r"may not name code(.|\n)*encoder\.model"):
        with_overrides(str(plain), ("encoder.model=/tmp/theirs.py:Theirs",))
    with pytest.raises(SettingsError, match="may not name code"):
        with_overrides(str(own), ("encoder.model=theirs.py:Theirs",))
    assert with_overrides(str(own), ("pretrain.epochs=2",)).encoder.model == "mine.py:Mine"
    assert with_overrides(str(plain), ("encoder.model=small",)).encoder.model == "small"
