"""The LightningCLI of `spx`: fit, validate, test, predict."""

import secrets
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from lightning import Trainer
from lightning.pytorch.callbacks import Callback, LearningRateMonitor, ProgressBar
from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI, Namespace
from lightning.pytorch.plugins import CheckpointIO
from lightning.pytorch.utilities import rank_zero_info, rank_zero_only

from spx.arguments import OneLineErrors
from spx.configurations import CONFIG_HELP, with_bases
from spx.data import GraphData
from spx.dataset_names import lasting_name, run_name
from spx.errors import ConfigError
from spx.inference.initial import InitialWeights, initial_weights, start_from
from spx.inference.writer import PredictionWriter
from spx.run_folder import CONFIG_FILE, INSIDE, LAST_CHECKPOINT, check_writable, claim_version, next_version
from spx.saved_places import FOLDERS, is_inside
from spx.torch_files import read_checkpoint
from spx.training import AttentionEstimator, NodeTask
from spx.training.board import Board
from spx.training.calibration import calibrate
from spx.training.callbacks import BestCheckpoint, EpochProgress, best_checkpoint
from spx.training.compiling import CompiledLayers
from spx.training.handover import ScoreHandover
from spx.training.monitor import AttentionMonitor
from spx.training.record import RunRecord
from spx.training.remembering import RememberGraph
from spx.training.resuming import RunLock, WholeFileIO
from spx.training.saved_config import SavedConfig
from spx.training.task import FROM_DATA
from spx.training.trainer_checks import as_list, check_monitors, check_trainer, holds, refuse_doubles

TRAINER_DEFAULTS = {
    "max_epochs": 100,
    "gradient_clip_val": 1.0,
    "log_every_n_steps": 1,  # a full-batch epoch is one step
    "num_sanity_val_steps": 0,
    "reload_dataloaders_every_n_epochs": 1,  # each epoch has its own sampled graph
    "use_distributed_sampler": False,  # the DataModules split the nodes over devices
    "enable_model_summary": False,
}


OWN_CALLBACKS = {
    BestCheckpoint: "checkpoint",
    ScoreHandover: "handover",
    AttentionMonitor: "attention",
    CompiledLayers: "compile",
    PredictionWriter: "predictions",
}
"""What every run has, and the option that sets it."""


class OneLineParser(OneLineErrors, LightningArgumentParser):
    """LightningCLI's parser, whose errors are raised as one sentence in place of a page of usage; before a dataset's
    configuration it puts the base."""

    def parse_args(self, args: Sequence[str] | None = None, *more: Any, **settings: Any) -> Namespace:
        return super().parse_args(with_bases(sys.argv[1:] if args is None else args), *more, **settings)

    def print_help(self, file: Any = None) -> None:
        """Lightning's help; of a command that takes a configuration, with the settings of the classes that it names."""
        super().print_help(file)
        if any(action.dest == "model" for action in self._actions):
            from spx.class_help import class_settings_help  # for help alone

            print(f"\n{class_settings_help(sys.argv[1:], FROM_DATA)}", file=file)


class SpxCLI(LightningCLI):
    """LightningCLI in subclass mode: model settings that follow from the data are linked, and the run's folder,
    checkpoint, hand-over, record and progress bar come by themselves."""

    def __init__(self, args: ArgsType = None, run: bool = True):
        words = sys.argv[1:] if args is None else args
        self._asked = words[0] if isinstance(words, list) and words else None
        super().__init__(
            NodeTask,
            GraphData,
            subclass_mode_model=True,
            subclass_mode_data=True,
            trainer_defaults=TRAINER_DEFAULTS,
            seed_everything_default=0,
            auto_configure_optimizers=False,
            save_config_callback=SavedConfig,
            save_config_kwargs={"save_to_log_dir": False},
            parser_class=OneLineParser,
            args=args,
            run=run,
        )

    def subcommands(self) -> dict[str, set[str]]:
        """Lightning's; the one that is asked for alone, for each takes a quarter of a second to set up."""
        known = super().subcommands()
        return {self._asked: known[self._asked]} if self._asked in known else known

    def init_parser(self, **kwargs: Any) -> LightningArgumentParser:
        """Lightning's, whose `--config` says what it does with a dataset's file."""
        parser = super().init_parser(**kwargs)
        next(action for action in parser._actions if action.dest == "config").help = CONFIG_HELP
        return parser

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_argument("--name", type=str, default="run", help="Name of the run: its folder below the dataset's.")
        parser.add_argument("--runs_dir", type=str, default="lightning_logs", help="Folder of all runs.")
        parser.add_argument(
            "--version",
            type=int | None,
            default=None,
            help="Number of the run: <runs_dir>/<dataset>/<name>/version_N. Default: the next free one.",
        )
        parser.add_argument(
            "--resume",
            type=bool | Literal["inside"],
            default=False,
            help="Go on with the run of --version where its last checkpoint left off. `spx resume FOLDER` sets it to "
            "`inside`: loggers write into the run's folder alone.",
        )
        parser.add_argument(
            "--init_from",
            type=str | None,
            default=None,
            help="Folder of a finished run whose weights the fit starts from, on data that may have changed; a run "
            "of stage 2 serves both stages.",
        )
        parser.add_argument(
            "--then_test", type=bool, default=False, help="After fit, test the best checkpoint in the same run."
        )
        parser.add_argument(
            "--calibrate",
            type=bool,
            default=False,
            help="After fit, fit one temperature on the validation nodes, which tests, predictions and exports of the "
            "best checkpoint then have.",
        )
        parser.add_lightning_class_args(BestCheckpoint, "checkpoint")
        parser.add_lightning_class_args(ScoreHandover, "handover")
        parser.add_lightning_class_args(AttentionMonitor, "attention")
        parser.add_lightning_class_args(CompiledLayers, "compile")
        parser.add_lightning_class_args(PredictionWriter, "predictions")
        parser.link_arguments("seed_everything", "data.init_args.seed", compute_fn=_whole_number)
        parser.link_arguments("runs_dir", "data.init_args.runs_dir")
        for name in FROM_DATA:
            parser.link_arguments(f"data.{name}", f"model.init_args.{name}", apply_on="instantiate")

    @property
    def settings(self):
        """The parsed settings of the subcommand at hand."""
        return self.config[self.subcommand] if self.subcommand else self.config

    def _parse_ckpt_path(self) -> None:
        """Refuse a checkpoint of other hyper-parameters than the settings', where Lightning would silently prefer
        the checkpoint's."""
        settings = self.config[self.config["subcommand"]] if self.config.get("subcommand") else self.config
        path = settings.get("ckpt_path")
        if not path:
            if self.config.get("subcommand") in ("test", "validate", "predict"):
                raise ConfigError(
                    f"spx {self.config['subcommand']} needs --ckpt_path, or it would judge a network that has learned "
                    "nothing. Give the path of a checkpoint, such as lightning_logs/actor/wide/version_0/checkpoints/"
                    "best.ckpt."
                )
            return
        stored = dict(read_checkpoint(path)["hyper_parameters"])
        given = settings.model.get("init_args", {})
        conflicts = [
            f"{name} is {given[name]} here and {value} there"
            for name, value in stored.items()
            if name in given and name not in FROM_DATA and given[name] != value
        ]
        if conflicts:
            raise ConfigError(
                f"The checkpoint {path} was made with other settings: {'; '.join(conflicts)}. "
                "Give the settings that it was made with (config.yaml in its run's folder), or another checkpoint."
            )

    def _set_seed(self) -> None:
        """The seed of the data's draws is the one that was set, also where it is drawn at random (`true`)."""
        if self.settings.seed_everything is True and rank_zero_only.rank == 0:  # other ranks are told by Lightning
            self.settings.seed_everything = secrets.randbelow(2**31)
        super()._set_seed()
        self.settings.data.init_args.seed = _whole_number(self.settings.seed_everything)

    def before_instantiate_classes(self) -> None:
        """Find the checkpoint of a run that is to be resumed, and refuse what no run can do before long work."""
        settings = self.settings
        if self.subcommand == "predict":
            settings.return_predictions = False  # they are written while they come
        check_trainer(settings.trainer, self.subcommand, settings.then_test)
        dataset = settings.data.init_args.dataset
        settings.data.init_args.dataset = lasting_name(dataset) or dataset  # a path still, once nothing lies there
        self._initial = self._find_initial(settings)
        if settings.resume:
            if settings.resume == INSIDE:
                self._keep_inside(self._run_folder)
            if settings.version is None:
                raise ConfigError("--resume true needs --version, the number of the run to go on with.")
            if (last := self._run_folder / LAST_CHECKPOINT).is_file():
                settings.ckpt_path = str(last)
                self._parse_ckpt_path()

    def _find_initial(self, settings: Namespace) -> InitialWeights | None:
        """The weights that a new fit starts from; its table is then read as that run's was."""
        run = settings.init_from
        if run is None or self.subcommand != "fit" or settings.resume:
            return None
        if settings.ckpt_path:
            raise ConfigError("--init_from starts a new fit, --ckpt_path goes on with one. Leave one of them out.")
        settings.data.init_args.columns_of = run
        return initial_weights(run, settings.model.class_path.rpartition(".")[2] == AttentionEstimator.__name__)

    def before_fit(self) -> None:
        """Start from another run's weights, if that is asked for."""
        if self._initial is None:
            return
        new = start_from(self.model, self._initial, self.datamodule.dataset.class_names)
        classes = f"; new classes: {', '.join(new[:5])}" if new else ""
        rank_zero_info(f"Starting from the weights of {self._initial.run}{classes}")

    def _keep_inside(self, folder: Path) -> None:
        """Let loggers write below the run's folder, whatever its configuration says, which someone else may have
        written."""
        for logger in as_list(self.settings.trainer.logger):
            arguments = logger.get("init_args", {}) if isinstance(logger, Namespace) else {}
            for name in FOLDERS:
                place = arguments.get(name)
                if isinstance(place, str) and not is_inside(place, folder):
                    arguments[name] = str(folder)
                    kind = str(logger.class_path).rpartition(".")[2]
                    rank_zero_info(f"{kind} wrote to {place}, outside of the run's folder. It goes on in {folder}.")

    @property
    def _run_folder(self) -> Path:
        settings = self.settings
        folder = Path(settings.runs_dir, run_name(settings.data.init_args.dataset), settings.name)
        return folder / f"version_{next_version(folder) if settings.version is None else settings.version}"

    def _claim_folder(self) -> Path | None:
        """The run's folder, made where it is a new one: of runs that start at once, each gets its own. None for a
        trial run, which leaves nothing."""
        settings = self.settings
        if settings.trainer.fast_dev_run:
            return None
        check_writable(settings.runs_dir)
        if settings.version is None and rank_zero_only.rank == 0:  # other ranks ask for it (`run_folder`)
            return claim_version(self._run_folder.parent)
        if not settings.resume:
            self._refuse_taken(self._run_folder)
        return self._run_folder

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Lay down the run's folder before any long work, and add the callbacks of every run."""
        settings, given = self.settings, self._get(self.config_init, "trainer")
        folder, added = self._claim_folder(), as_list(given.callbacks)
        refuse_doubles(added, OWN_CALLBACKS)
        check_monitors([*added, self._get(self.config_init, "checkpoint")], self.model, settings.trainer)
        if folder is not None and settings.trainer.logger in (None, True):
            name, version = f"{folder.parents[1].name}/{folder.parent.name}", int(folder.name.split("_")[1])
            kwargs["logger"] = Board(settings.runs_dir, name, version, default_hp_metric=False)
        if folder is not None and given.default_root_dir is None:
            kwargs["default_root_dir"] = str(folder)  # for what Lightning and its callbacks leave by themselves
        files = [str(path) for path in settings.get("config") or []]
        callbacks: list[Callback] = [RunLock(folder), RunRecord(settings.name, files), RememberGraph()]
        if given.enable_progress_bar is not False and not holds(added, ProgressBar):
            callbacks.append(EpochProgress())
        if settings.trainer.logger not in (False, []) and not holds(added, LearningRateMonitor):
            callbacks.append(LearningRateMonitor("epoch"))
        self.trainer_defaults = {**self.trainer_defaults, "callbacks": callbacks}
        plugins = as_list(given.plugins)
        kwargs["plugins"] = plugins if holds(plugins, CheckpointIO) else [WholeFileIO(), *plugins]
        return super().instantiate_trainer(**kwargs)

    @rank_zero_only
    def _refuse_taken(self, folder: Path) -> None:
        if (folder / CONFIG_FILE).exists():
            raise ConfigError(f"{folder} holds a run already. Leave --version out, or give a number that is free.")

    def after_fit(self) -> None:
        """Calibrate and test the best checkpoint if that is asked for; after a trial run, test the network as it is."""
        best = None if self.trainer.fast_dev_run else best_checkpoint(self.trainer).best_model_path
        if self.settings.calibrate and best is not None:
            calibrate(self.trainer, self.model, self.datamodule, best)
        if self.settings.then_test:
            self.trainer.test(self.model, datamodule=self.datamodule, ckpt_path=best, verbose=False)


def _whole_number(seed: bool | int) -> int:
    """The seed of the data; `true` is drawn later on, and `false` leaves only the network without a seed."""
    return 0 if isinstance(seed, bool) else seed
