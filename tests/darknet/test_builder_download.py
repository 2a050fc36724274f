"""weights/download.sh: whole official files or none, from a local server that behaves well or badly."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from utils.darknet import parse_network
from utils.darknet.builder import build_cfg

SCRIPT = Path(__file__).resolve().parents[2] / "weights" / "download.sh"
NAME, BYTES = "yolov4-tiny.conv.29", 19789716
WHOLE = (bytes(4) + bytes(range(1, 252)) * (BYTES // 251 + 1))[:BYTES]
HALF = BYTES // 2

needs_bash = pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
pytestmark = needs_bash


class Server(ThreadingHTTPServer):
    """Serves `body` under any name and remembers what was asked."""

    daemon_threads = True
    body = WHOLE
    status = 200
    ranges = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[tuple[str, str | None]] = []


class _Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.server.asked.append((self.path, wanted))
        body, start = self.server.body, 0
        if wanted and self.server.ranges and self.server.status == 200:
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        else:
            self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        try:
            self.wfile.write(body[start:])
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def log_message(self, *args: object) -> None:
        """Quiet."""


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(params=["curl", "wget"])
def only(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    """An environment in which just one of the two downloaders is installed."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for tool in ("bash", "cat", "awk", "od", "tr", "wc", "mv", "rm", "dirname", request.param):
        found = shutil.which(tool)
        if found is None:
            pytest.skip(f"{tool} is not installed")
        (tools / tool).symlink_to(found)
    return {"PATH": str(tools), "NO_PROXY": "*", "no_proxy": "*", "HOME": str(tmp_path)}


def download(*words: str | Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["bash", SCRIPT, *words], capture_output=True, text=True, timeout=60,
                          env=env or {"PATH": os.environ["PATH"]})


@pytest.fixture
def get(server: Server, only: dict[str, str], tmp_path: Path):
    """Downloads NAME from the local server into an empty folder; gives the process and that folder."""
    folder = tmp_path / "weights"
    folder.mkdir()

    def run() -> tuple[subprocess.CompletedProcess[str], Path]:
        return download(NAME, "--to", folder, "--from", f"http://127.0.0.1:{server.server_port}/mirror/", env=only), folder

    return run


def test_the_script_parses():
    assert subprocess.run(["bash", "-n", SCRIPT], capture_output=True).returncode == 0
    assert os.access(SCRIPT, os.X_OK)


@pytest.mark.parametrize(("words", "message"), [
    ((), "no name given"),
    (("yolov9",), "there are no official weights named yolov9"),
    (("yolov3-tiny", "yolov.*"), "there are no official weights named yolov.*"),
    (("--fast", "yolov3"), "there is no option --fast"),
    (("yolov3", "--to"), "--to needs a value"),
    (("yolov3", "--to", "/no/such/folder"), "there is no such folder"),
])
def test_a_command_line_without_sense_exits_with_2_and_one_line(words, message):
    result = download(*words)
    assert result.returncode == 2
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert result.stdout == ""


def test_the_list_gives_the_bytes_that_the_networks_ask_for():
    result = download("--list")
    assert result.returncode == 0
    rows = [line.split() for line in result.stdout.splitlines()]
    assert {name.removesuffix(".weights") for name, *_ in rows} == {
        "yolov3", "yolov3-spp", "yolov3-tiny", "yolov4", "yolov4-tiny", "yolov4-csp", "yolov7", "yolov7-tiny",
        "darknet53.conv.74", "yolov4.conv.137", "yolov4-tiny.conv.29"}
    for name, size, *addresses in rows:
        stem, _, layers = name.removesuffix(".weights").partition(".conv.")
        network = parse_network(build_cfg("yolov3" if stem == "darknet53" else stem))
        count = int(layers) if layers else len(network.layers)
        assert int(size) == 20 + 4 * sum(layer.parameters for layer in network.layers[:count]), name
        assert addresses
        assert all(address.startswith("https://") and address.endswith("/" + name) for address in addresses)


def test_help_says_how_to_use_it():
    result = download("--help")
    assert result.returncode == 0
    assert "usage:" in result.stdout


def test_a_whole_file_appears_under_its_name(get, server):
    result, folder = get()
    assert result.returncode == 0, result.stderr
    assert (folder / NAME).read_bytes() == WHOLE
    assert [path.name for path in folder.iterdir()] == [NAME]
    assert server.asked[0][0] == f"/mirror/{NAME}"


def test_a_second_run_asks_nobody(get, server):
    get()
    server.asked.clear()
    result, _ = get()
    assert result.returncode == 0
    assert "is here already" in result.stderr
    assert server.asked == []


def test_a_download_goes_on_where_it_stopped(get, server, tmp_path):
    (tmp_path / "weights" / f"{NAME}.part").write_bytes(WHOLE[:HALF])
    result, folder = get()
    assert result.returncode == 0, result.stderr
    assert server.asked[0][1] == f"bytes={HALF}-"
    assert (folder / NAME).read_bytes() == WHOLE


def test_a_server_that_cannot_continue_a_file_sends_all_of_it(get, server, tmp_path):
    server.ranges = False
    (tmp_path / "weights" / f"{NAME}.part").write_bytes(WHOLE[:HALF])
    result, folder = get()
    assert result.returncode == 0, result.stderr
    assert (folder / NAME).read_bytes() == WHOLE


def test_a_complete_part_needs_no_download(get, server, tmp_path):
    (tmp_path / "weights" / f"{NAME}.part").write_bytes(WHOLE)
    result, folder = get()
    assert result.returncode == 0, result.stderr
    assert server.asked == []
    assert [path.name for path in folder.iterdir()] == [NAME]


def test_half_a_file_never_gets_the_final_name(get, server):
    server.body = WHOLE[:HALF]
    result, folder = get()
    assert result.returncode == 1
    assert f"{HALF} of {BYTES} bytes came" in result.stderr
    assert [path.name for path in folder.iterdir()] == [f"{NAME}.part"]


@pytest.mark.parametrize("body", [b"<html>sorry</html>", b"<html>" + bytes(BYTES - 6), WHOLE + b"\0"],
                         ids=["a page", "a page of the right length", "too much"])
def test_what_is_no_weights_file_is_thrown_away(get, server, body):
    server.body = body
    result, folder = get()
    assert result.returncode == 1
    assert "could not be downloaded" in result.stderr
    assert list(folder.iterdir()) == []


def test_a_missing_file_on_the_server_is_an_error(get, server):
    server.status, server.body = 404, b"not found"
    result, folder = get()
    assert result.returncode == 1
    assert list(folder.iterdir()) == []


def test_a_file_of_the_user_is_not_overwritten(get, server, tmp_path):
    mine = tmp_path / "weights" / NAME
    mine.write_bytes(b"mine")
    result, _ = get()
    assert result.returncode == 1
    assert "is not the official file" in result.stderr
    assert mine.read_bytes() == b"mine"
    assert server.asked == []
