"""torch.compile for the layers of a network, one after the other: layers that are alike share what was compiled.

The encoder and the last linear map are single products already, and what calls layers one by one (the hand-over of the
scores, say) gets the compiled ones too.
"""

import warnings

import torch
from torch import nn
from torch._inductor import config as inductor_config

from spx.errors import ConfigError
from spx.nn.layers import LAYERS, HiddenLayer

# Sizes are symbols, as each batch has its own; random numbers are torch's, so dropout draws what it did before.
COMPILED = (HiddenLayer, *LAYERS.values())
SETTINGS = {"dynamic": True, "options": {"fallback_random": True}}


def compile_layers(network: nn.Module) -> int:
    """Compile in place, at the first call of each; names and values of the parameters stay. Returns how many."""
    layers = [module for module in network.modules() if isinstance(module, COMPILED)]
    for layer in layers:
        layer.compile(**SETTINGS)
    return len(layers)


def check_compiler(device: torch.device) -> None:
    """Compile one line, so that what is missing is told before the training starts.

    Raises:
        ConfigError: nothing can be compiled for this device here, and why.
    """
    try:
        with inductor_config.patch(force_disable_caches=True), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of caches that are off
            torch.compile(_one_line, **SETTINGS)(torch.ones(8, device=device))
    except Exception as error:  # whatever a missing or broken compiler makes torch raise
        lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
        tool = "Triton" if device.type == "cuda" else "a C++ compiler (g++ or clang++)"
        raise ConfigError(
            f"torch.compile doesn't work here on {device.type}: {lines[0][:200]}. Install {tool}, or leave "
            "--compile.enabled (the overlay compile) out."
        ) from error


def _one_line(x: torch.Tensor) -> torch.Tensor:
    return x.sin() + 1
