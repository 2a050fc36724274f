"""No command writes over what it reads: the files given, and those that a .data file names."""

from __future__ import annotations

import pytest

from utils.cli.outputs import check_output, input_files
from utils.errors import OptionError, OutputError


@pytest.mark.parametrize("name", ["small.cfg", "small.data", "small.names", "valid.txt", "images/../valid.txt", "test.txt"])
def test_an_input_is_no_place_for_results(pair, name):
    pair.data.write_text(pair.data.read_text() + "test=test.txt\n")
    (pair.folder / "test.txt").write_text("images/0.png\n")
    with pytest.raises(OptionError, match="--json: .* would overwrite an input"):
        check_output("--json", pair.folder / name, input_files(pair.cfg, pair.weights, None, data=pair.data))


def test_another_file_is(pair):
    check_output("--json", pair.folder / "new.json", input_files(pair.cfg, data=pair.data))
    with pytest.raises(OutputError):
        check_output("--json", pair.folder / "nowhere" / "new.json", set())
