"""An engine that is not there is told before any time is spent."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import replace
from types import MappingProxyType

import pytest

from utils import deploy
from utils.cli.engines import requested_network
from utils.errors import EngineError


def test_a_missing_engine_is_told_before_anything_is_read(tmp_path, monkeypatch):
    table = {name: replace(kind, missing=lambda: "pip install something") for name, kind in deploy.ENGINES.items()}
    monkeypatch.setattr(deploy, "ENGINES", MappingProxyType(table))
    with pytest.raises(EngineError, match=r"OpenCV is not installed.*pip install something"):
        requested_network(Namespace(engine="opencv", cfg=tmp_path / "none.cfg", img_size=None))
