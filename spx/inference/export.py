"""A run's network as files that need no run: `spx export`."""

from pathlib import Path

from spx.inference.rebuild import build_model, class_names
from spx.inference.run_files import read_run
from spx.nn.export import NetworkConfig, network_arguments, save_network

ORIGIN = ("dataset", "protocol", "split", "seed", "metric")
"""Facts of the run's record that `model.json` repeats, as text."""


def export_run(run_folder: str | Path, output: str | Path, checkpoint: str | Path = "best") -> NetworkConfig:
    """Write `model.safetensors` and `model.json` into a folder (`spx.nn.export`); the run's data aren't needed.

    Args:
        run_folder: of a finished run.
        output: folder, made if need be.
        checkpoint: "best" on validation, "last", or the path of a .ckpt file.

    Raises:
        ArtifactError: there is no finished run, a file of it is damaged, or the folder can't be written.
    """
    files = read_run(run_folder, checkpoint)
    model, data_state = build_model(files, checkpoint)
    names = class_names(files, model.num_outputs) or tuple(map(str, range(model.num_outputs)))
    origin = {name: str(files.record[name]) for name in ORIGIN if name in files.record}
    weights = (files.config["data"].get("init_args") or {}).get("edge_weight")
    origin |= {} if weights is None else {"edge_weight": str(weights)}
    config = NetworkConfig(
        network=type(model.network).__name__,
        arguments=network_arguments(model.network),
        task=model.task,
        class_names=names,
        schema=data_state.get("schema"),
        temperature=1.0 if model.calibration is None else model.calibration.temperature,
        made_from={"run": "/".join(files.folder.absolute().parts[-3:]), "checkpoint": Path(checkpoint).name, **origin},
    )
    save_network(output, model.network, config)
    return config
