"""The table of a verification: a row per head, and below it why an engine could not run."""

from __future__ import annotations

from utils.reports import verification_table


def test_heads_have_rows_and_engines_that_could_not_run_their_reason():
    head = {"layer": 16, "channels": 255, "value_range": 12.5, "max_abs": 2.5e-5, "own_max_abs": 1e-3,
            "relative": 2e-6, "own_relative": 8e-5}
    reason = "Darknet of 2018 cannot run this cfg: a/folder/with/a/long/name/my.cfg:24: it takes relu for activation=mish"
    lines = verification_table({"engines": [
        {"engine": "opencv", "title": "OpenCV", "status": "verified", "heads": [head, {**head, "layer": 23}], "reason": ""},
        {"engine": "darknet", "title": "Darknet (2018)", "status": "cannot run", "heads": [], "reason": reason},
    ]}, width=80).splitlines()
    assert lines[2].split() == ["OpenCV", "verified", "16", "12.5", "2.5e-05", "2.0e-06", "8.0e-05"]
    assert lines[3].split()[2] == "23"
    assert lines[4].split() == ["Darknet", "(2018)", "cannot", "run"]
    assert lines[5:] == [f"Darknet (2018): {reason}"], "whole, however long it is"
