"""Debian's Darknet against the recordings of AlexeyAB's, and our table of what it cannot do against itself."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest

from tests.deploy.pairs import OLD, pair
from tests.deploy.recordings import PAIRS, activated, distance, names, recording
from tests.shared import SHARED, needs_shared
from utils.darknet import parse_network, read_network
from utils.deploy import ENGINES, engine_problems, open_engine
from utils.deploy.darknet_library import HEADER, DarknetLibraryEngine
from utils.deploy.darknet_worker import structure
from utils.errors import EngineError

needs_darknet = pytest.mark.skipif(ENGINES["darknet"].missing() is not None, reason=str(ENGINES["darknet"].missing()))

# a process each, so by default one recording of every kind
QUICK = {"act_leaky", "act_elu", "act_swish", "avgpool", "connected_bn", "conv_k1s2", "conv_k3s2", "conv_depthwise",
         "maxpool_k2s1", "maxpool_k5s1", "maxpool_depth", "reorg2", "reorg_reverse", "route_two", "route_group1of2",
         "shortcut_plain", "shortcut_from_fewer_channels", "shortcut_multi", "softmax_groups2_temp", "syntax_quirks",
         "upsample3_scale", "yolo_plain", "region_softmax", "gaussian_yolo", "bn_smallvar"}
# the map that enters the head is right, what the head makes of it is not
HEAD_ONLY = {"yolo_new_coords", "yolo_scale_x_y_1.2"}


@needs_shared
@needs_darknet
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in names("probes")])
def test_the_table_knows_what_darknet_of_2018_computes_as_alexeyabs_does(name, tmp_path, monkeypatch):
    recorded = recording("probes", name, tmp_path)
    network = read_network(recorded.cfg)
    problems = engine_problems("darknet", network)
    monkeypatch.setattr("utils.deploy.darknet_library.darknet_problems", lambda network: [])
    last = network.layers[-1]
    engine = DarknetLibraryEngine(recorded.cfg, recorded.weights, epsilon_corrected=True,
                                  layers=[last.inputs[0] if last.is_head else last.index])
    try:
        (got,) = engine.heads(recorded.image)[0]
    except EngineError:
        assert problems
        return
    if last.is_head:
        got = activated(got, {"type": recorded.spec["last_layer"][1], "shape": recorded.spec["recorded_out_chw"],
                              "options": {o.key: o.value for o in network.document.sections[-1].options}})
    deviation = distance(got, recorded.arrays["out"])
    assert deviation > 1e-3 or name in HEAD_ONLY if problems else deviation < 1e-4


@needs_shared
@needs_darknet
@pytest.mark.parametrize("name", PAIRS)
def test_a_trained_pair_gives_the_recorded_heads_in_a_real_darknet(name):
    folder = SHARED / "weights" / name
    network = read_network(folder / "model.cfg")
    if engine_problems("darknet", network):
        with pytest.raises(EngineError, match="Darknet of 2018 cannot run this cfg"):
            open_engine("darknet", folder / "model.cfg", folder / "model.weights")
        return
    engine = open_engine("darknet", folder / "model.cfg", folder / "model.weights", epsilon_corrected=True)
    with np.load(SHARED / "weights" / "raw_heads" / f"{name}.npz") as truth:
        x = truth["input_u8"].astype(np.float32).transpose(2, 0, 1)[None] / 255
        for got, head in zip(engine.heads(x), network.heads, strict=True):
            want = truth[f"head_{head.index}"]
            assert np.abs(got - want.reshape(got.shape)).max() < 1e-4 * np.ptp(want)


@needs_darknet
def test_a_darknet_that_ends_the_process_is_one_error_with_its_last_words(tmp_path, monkeypatch):
    monkeypatch.setattr("utils.deploy.darknet_library.darknet_problems", lambda network: [])
    cfg, weights = pair(tmp_path, OLD.replace("[maxpool]\nsize=2\nstride=1", "[empty]"))
    with pytest.raises(EngineError, match=r"model.cfg: Darknet ended with code -?\d+: "):
        open_engine("darknet", cfg, weights).heads(np.zeros((1, 3, 32, 64), np.float32))


@needs_darknet
def test_the_structures_are_read_from_the_header_that_came_with_the_library():
    layer = structure("layer", HEADER.read_text(errors="replace"))
    fields = dict(layer._fields_)
    assert fields["output"] is ctypes.c_void_p
    assert fields["out_c"] is ctypes.c_int
    assert fields["workspace_size"] is ctypes.c_size_t
    assert "output_gpu" not in fields


def test_members_of_a_structure_keep_their_order_and_gpu_members_are_left_out():
    header = """
    typedef enum{ A, B } KIND;
    struct thing{
        KIND kind; /* a comment; with a semicolon */
        void (*run) (struct thing, struct other);
        int h,w , c;
        float * output;
        struct thing **next;
    #ifdef GPU
        float * output_gpu;
        #ifdef CUDNN
        cudnnDescriptor_t d;
        #endif
    #endif
        size_t size;
    }
    """.replace("\n    ", "\n")
    thing = structure("thing", header)
    assert [name for name, _ in thing._fields_] == ["kind", "run", "h", "w", "c", "output", "next", "size"]
    assert ctypes.sizeof(thing) == 56
    with pytest.raises(ValueError, match="no struct other"):
        structure("other", header)
    with pytest.raises(ValueError, match="cannot read the member"):
        structure("odd", "struct odd{\n long double x;\n}")


@pytest.mark.parametrize(("old", "new", "said"), [
    ("\n", "\r\n", ":1: it stumbles over Windows line ends"),
    ("activation=leaky", "activation=mish", "it takes relu for activation=mish"),
    ("filters=16\nsize=3", "filters=16\nsize=1", "1x1 convolution's input as it is"),
    ("num=3\n", "num=3\nscale_x_y=1.1\n", "it ignores scale_x_y="),
    ("from=-2", "from=-2,-3", "it ignores from="),
])
def test_a_difference_is_named_with_its_line(old, new, said):
    network = parse_network(OLD.replace(old, new, 1) if old != "\n" else OLD.replace(old, new), "my.cfg")
    assert any(said in problem and "my.cfg:" in problem for problem in engine_problems("darknet", network))
