"""One training from the command line: set it up, show it, save it, and go on with it later."""

from __future__ import annotations

import argparse
import logging
import shlex
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from utils.atomic import made_folder
from utils.cli.arguments import CommandParser
from utils.cli.exit_codes import DONE, INTERRUPTED
from utils.cli.progress import progress_bar
from utils.cli.training.teacher_arguments import flag_of
from utils.errors import OptionError, OutputError, WeightsError

if TYPE_CHECKING:
    from utils.training.run_folder import RunFolder

_logger = logging.getLogger(__name__)

RUNS, WEIGHTS = Path("runs"), Path("weights")
_NOT_RESTORED = frozenset({"resume", "out", "name", "device", "verbose", "quiet", "workers", "tensorboard"})
_HARMLESS = frozenset({"nosave", "notest", "test_every"})  # of those restored: these change no step
_FIXED = frozenset({"cfg", "arch", "width_multiple", "weights", "img_size", "transfer", "freeze", "optimizer",
                    "t_cfg", "t_weights", "distill", "distill_layers", "distill_plan"})
"""Of those restored: what the checkpoint is made of, so that another value would have no effect, or no meaning."""


def run_training(args: argparse.Namespace, parser: CommandParser, argv: Sequence[str] | None) -> int:
    """The body of train.py."""
    from utils.cli.device import prepare_process  # torch takes a second: --help should not wait for it
    from utils.cli.training.setup import check_combination, check_place_of_resumed
    from utils.training.distributed import join_processes
    from utils.training.run_folder import read_resumable

    resumable = None
    if args.resume is not None:
        check_place_of_resumed(args)
        resumable = read_resumable(args.resume)
        args = _restored(parser, argv, resumable.arguments)
    check_combination(args)
    prepare_process(threads=args.threads, seed=args.seed)
    with join_processes(args.device) as processes:
        if not processes.is_main:
            logging.getLogger("utils").setLevel(logging.ERROR)  # one process speaks
            args.quiet = True
        return _train(args, resumable, processes)


def _restored(parser: CommandParser, argv: Sequence[str] | None, saved: Mapping[str, Any]) -> argparse.Namespace:
    """The flags of the interrupted run, where the command line does not say otherwise.

    Raises:
        OptionError: it says otherwise of something that cannot change on the way.
    """
    from utils.cli.training.setup import plain_arguments

    known = {action.dest for action in parser._actions}
    defaults = {name: _from_plain(value) for name, value in saved.items()
                if name in known and name not in _NOT_RESTORED}
    parser.set_defaults(**defaults)
    args = parser.parse_args(argv)
    now = plain_arguments(args)
    changed = [name for name in defaults if name not in _HARMLESS and now[name] != saved[name]]
    fixed = [flag_of(name) for name in changed if name in _FIXED]
    if fixed:
        raise OptionError(", ".join(fixed), "cannot change in a training that goes on",
                          "leave it out, or begin a new training from the checkpoint: --weights instead of --resume")
    if changed:
        _logger.warning("going on with another %s than before, so the result is not that of an uninterrupted run",
                        ", ".join(map(flag_of, changed)))
    return args


def _from_plain(value: Any) -> Any:
    """Pairs within a list are tuples, as the parser makes them; the list itself may be extended."""
    return [tuple(item) if isinstance(item, list) else item for item in value] if isinstance(value, list) else value


def _train(args: argparse.Namespace, resumable: Any, processes: Any) -> int:
    from utils.cli.training.inputs import training_inputs
    from utils.cli.training.setup import build_trainer, plain_arguments
    from utils.cli.training.watch import Watch
    from utils.training.events import BatchReport, EpochReport, Interrupted
    from utils.training.run_folder import RunFolder

    inputs = training_inputs(args, resumable.network if resumable else None)
    bar = _bars(args.quiet)
    trainer = build_trainer(args, inputs, processes, bar, resumed=resumable is not None)
    if resumable is not None:
        _go_on(trainer, resumable)
        if trainer.progress.epoch >= args.epochs:
            _logger.info("%s is of a finished training: epoch %d of %d; --epochs with a larger number goes on",
                         resumable.path, trainer.progress.epoch, args.epochs)
            return 0
    arguments = plain_arguments(args)
    run: RunFolder | None = None
    watch: Watch | None = None
    interrupted = False
    with ExitStack() as stack:
        stack.callback(trainer.batches.close)
        if processes.is_main:
            folder = resumable.path.resolve().parent if resumable else stack.enter_context(_new_folder(args, trainer))
            run = RunFolder(folder, inputs.cfg_name)
            if resumable is None:
                run.begin(inputs.network)
            watch = Watch(args, inputs, trainer, folder, resumed=resumable is not None)
        stack.enter_context(_graceful_interrupt(trainer))
        stack.enter_context(watch or nullcontext())
        for event in trainer.run():
            if watch is not None:
                watch.show(event)
            match event:
                case EpochReport():
                    last = event.epoch + 1 == event.epochs
                    if run is not None and (last or not args.nosave):
                        run.save(trainer, arguments, is_best=event.is_best)
                        _link(run, args.name)
                case Interrupted():
                    interrupted = True
                    if run is not None:
                        run.save(trainer, arguments)
                        _link(run, args.name)
                case BatchReport():
                    pass
    if run is None or watch is None:  # another process writes and shows
        return INTERRUPTED if interrupted else DONE
    if interrupted:
        sys.stderr.write(f"interrupted in epoch {trainer.progress.epoch + 1}, and saved; go on with\n"
                         f"  python train.py --resume {shlex.quote(str(run.path / 'last.pt'))}\n")
        return INTERRUPTED
    watch.finish(run)
    return 0


def _go_on(trainer: Any, resumable: Any) -> None:
    """WeightsError where what the checkpoint calls a training is none, or one of another version."""
    try:
        trainer.load_state(resumable.state)
    except (AttributeError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise WeightsError(resumable.path, f"holds a training that cannot go on here ({type(error).__name__}: {error})",
                           "begin a new one from its network: --weights instead of --resume") from error


@contextmanager
def _new_folder(args: argparse.Namespace, trainer: Any) -> Iterator[Path]:
    """The folder of a new run. It goes again if the run ends before its first batch: nothing in it is worth keeping."""
    from utils.training.run_folder import new_folder

    with made_folder(RUNS if args.out is None else args.out):
        if args.out is not None and any(args.out.iterdir()):
            raise OutputError(args.out, "is not empty", "name a new folder, or go on with the run in it: "
                              f"--resume {args.out / 'last.pt'}")
        folder = new_folder(RUNS, args.name) if args.out is None else args.out
        try:
            yield folder
        except BaseException:
            if not trainer.progress.images:
                for path in folder.iterdir():
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
                if args.out is None:
                    folder.rmdir()
            raise


def _link(run: RunFolder, name: str | None) -> None:
    """Let weights/last.pt and the others point to a run in runs/, where notes written for the ancestor look for them."""
    from utils.training.run_folder import link_results

    if run.path.resolve().parent != RUNS.resolve() or not WEIGHTS.is_dir():
        return
    kept = link_results(run, WEIGHTS)
    if name:
        kept += link_results(run, WEIGHTS, f"_{name}")
    for file in kept:
        _logger.debug("%s is a file of its own and stays; this run's is in %s", file, run.path)


def _bars(quiet: bool) -> Callable[[str, int], AbstractContextManager[Callable[[int], object]]]:
    return lambda description, total: progress_bar(description, total or None, quiet=quiet)


@contextmanager
def _graceful_interrupt(trainer: Any) -> Iterator[None]:
    """The first Ctrl-C (or SIGTERM) ends the training after its step and saves; the second ends it at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handler(number: int, frame: object) -> None:
        if trainer.stopping:
            raise KeyboardInterrupt
        trainer.stop()
        if trainer.processes.is_main:
            sys.stderr.write("\nstopping after this step, and saving; Ctrl-C again stops at once, without saving\n")

    before = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
