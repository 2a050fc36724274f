"""Gradient importance: against a finite difference of the loss when a channel's scale and shift are pressed together."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from models import Darknet, set_weights
from utils.darknet import initial_weights, parse_network
from utils.training import taylor_importance
from utils.training.hyperparameters import hyperparameters
from utils.training.loss_of_network import loss_of_network, recipe_of

NETWORK = parse_network("[net]\nwidth=32\nheight=32\nchannels=3\n[convolutional]\nbatch_normalize=1\nfilters=4\nsize=3\nstride=4\n"
                        "pad=1\nactivation=mish\n[convolutional]\nfilters=7\nsize=1\nactivation=linear\n[yolo]\nmask=0\n"
                        "anchors=12,12\nclasses=2\nnum=1\n")
IMAGES = np.random.default_rng(0).random((2, 3, 32, 32), dtype=np.float32)
TARGETS = np.array([[0, 0, 0.4, 0.4, 0.3, 0.3], [1, 1, 0.6, 0.6, 0.4, 0.4]], np.float32)


def planted():
    weights = initial_weights(NETWORK, seed=1)
    weights.layers[0]["gamma"][:] = [0.0, 0.5, 1, 2]
    weights.layers[0]["beta"][:] = [0.0, 0.1, -0.3, 0.2]
    return weights


def loss_with(scale: float, channel: int) -> float:
    weights = planted()
    for name in ("gamma", "beta"):
        weights.layers[0][name][channel] *= scale
    model = Darknet(NETWORK, init=False)
    set_weights(model, weights)
    recipe = recipe_of(NETWORK)
    loss = loss_of_network(NETWORK, hyperparameters(NETWORK, recipe).as_dict(), recipe)
    with torch.no_grad():
        raw = model.eval()(torch.from_numpy(IMAGES))[1]
        return float(loss(raw, torch.from_numpy(TARGETS), (32, 32)).total)


def test_it_is_the_squared_slope_of_the_loss_along_gamma_and_beta():
    found = taylor_importance(NETWORK, planted(), [(IMAGES, TARGETS)])
    slopes = [(loss_with(1.02, channel) - loss_with(0.98, channel)) / 0.04 for channel in range(4)]
    assert found[0] == pytest.approx(np.square(slopes), rel=0.1, abs=1e-6)
    assert found[0][0] == 0, "a channel that is closed already"
    assert found[0].max() > 1e-4


def test_it_is_the_mean_over_batches_and_zero_without_any():
    once, twice = (taylor_importance(NETWORK, planted(), [(IMAGES, TARGETS)] * count)[0] for count in (1, 2))
    assert once == pytest.approx(twice)
    assert (taylor_importance(NETWORK, planted(), [])[0] == 0).all()
