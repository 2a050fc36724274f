"""Checks of other engines: which are installed, and which of them could run this cfg as it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from utils.cli.doctor.commands import Files, python
from utils.cli.doctor.finding import Finding, fine, look, wrong
from utils.darknet import Network
from utils.deploy import ENGINES, EngineKind, engine_problems
from utils.wording import counted

_OURS = "torch"


def check_installed(table: Mapping[str, EngineKind] = ENGINES) -> Iterator[Finding]:
    """Each engine: is it here, and if not, what installs it."""
    for name, kind in table.items():
        missing = kind.missing()
        if name == _OURS:
            continue
        if missing is None:
            yield fine(kind.title, "is installed")
        else:
            yield look(kind.title, "is not installed, so it cannot verify what is written", missing.partition(" (")[0])


def check_engines(network: Network, files: Files, table: Mapping[str, EngineKind] = ENGINES) -> Iterator[Finding]:
    """Each engine: could it run this cfg, or would it refuse, or silently compute something else."""
    able, unable = [], {}
    for name in table:
        problems = engine_problems(name, network)
        if problems and name != _OURS:
            unable[name] = problems
        elif name != _OURS and table[name].missing() is None:
            able.append(name)
    check = python("verify.py", *files.pair, "--engine", ",".join(able))
    for name, problems in unable.items():
        more = f" (and {counted(len(problems) - 1, 'more reason')})" if len(problems) > 1 else ""
        yield look(f"cfg in {table[name].title}", f"{problems[0]}{more}", *([check] if able else []))
    if able:
        titles = ", ".join(table[name].title for name in able)
        yield fine("cfg in engines", f"{titles} can run it and check what is written")
    else:
        yield wrong("cfg in engines", "no other engine that is installed here can run it, so nothing that is written can be "
                    "verified", *(["pip install onnx onnxruntime"] if "onnxruntime" not in unable else []))
