"""What `charlm train` shows: a few live lines on a terminal, plain lines elsewhere."""

import json
import os
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TextIO

from charlm.cli import terminal
from charlm.cli.live import SAMPLE_LENGTH, live_lines
from charlm.cli.pace import Pace
from charlm.figures import duration, on_one_line
from charlm.logs import length_until

if TYPE_CHECKING:
    from charlm.checkpoint import Checkpoint
    from charlm.progress import Progress
    from charlm.run import Run

PLAIN_SECONDS = 10.0
FEW_SECONDS = 10.0  # the start, validations and samples may take as long
SURVEYED, FEW_LINES, SHORT_LINE = 2**20, 100, 16  # tokens; lines; characters of a line


class View:
    """Draws a run on stderr and writes its log; `quiet` leaves only what `say` is given."""

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet
        self._log: TextIO | None = None
        self._block = None if quiet else terminal.LiveBlock()
        self._shown = 0.0
        self._valid: list[float] = []
        self._sample, self._pace = "", Pace(bounded=False)

    def say(self, line: str) -> None:
        """One line that stays."""
        if self._block:
            self._block.say(line)
        else:
            terminal.notice(line)

    def announce(
        self, run: "Run", output: str, options: dict[str, Any], earlier: "Checkpoint | None"
    ) -> None:
        """What will be done and what was chosen, before the first step.

        options: the command's; the log is to write records into or, where a run is resumed, to add
        them to, behind the last of those that it goes on from. earlier: what the run goes on from,
        or began with.
        """
        log, resumed, past = options["log"], options["resume"], run.training.history
        if log:
            if resumed and os.path.isfile(log):
                os.truncate(log, length_until(log, run.training.place["step"], past))
            self._log = open(log, "a" if resumed else "w", encoding="utf-8")  # noqa: SIM115
        self._pace = Pace(run.config.minutes is not None)
        self._valid = [record["valid_nats"] * run.about.bits_per_nat for record in past]
        if self._quiet:
            return
        begins = _begins(run, options["init_from"], earlier)
        terminal.pairs([*_plan_lines(run, resumed), *begins, ("into", output)], sys.stderr)
        if run.model.parameters > 20 * run.about.train_characters:
            self.say(
                "the text is small for this model: it will learn it by heart; a longer text or a "
                "smaller --hidden-size helps"
            )
        if options["init_from"] and earlier and earlier.model.per_line > run.model.per_line:
            self.say(
                f"{options['init_from']} was trained line by line, this run is not; --per-line "
                "goes on as it began"
            )
        elif length := _short_lines(run):
            self.say(
                f"its lines are short ({length:.0f} characters): --per-line makes each a sequence "
                "of its own, as suits names and words"
            )

    def show(self, run: "Run", progress: "Progress") -> None:
        """One record: into the log, onto the screen."""
        if self._log:
            try:
                self._log.write(json.dumps(_record(run, progress)) + "\n")
                self._log.flush()
            except OSError as error:  # no reason to lose the run
                self.say(f"{self._log.name}: {error.strerror}; the log ends here")
                with suppress(OSError):
                    self._log.close()
                self._log = None
        if progress.notice:
            self.say(progress.notice)
        if not self._block:
            return
        drawn = progress.valid_nats is not None and self._pace.due()
        if progress.valid_nats is not None:
            self._valid.append(progress.valid_nats * run.about.bits_per_nat)
        if drawn:
            with self._pace.timed():
                self._sample = _sample(run)
        if self._block.live:
            width = terminal.console(sys.stderr).width
            self._block.update(live_lines(run, progress, self._valid, self._sample, width))
        elif progress.valid_nats is not None or time.monotonic() - self._shown > PLAIN_SECONDS:
            self.say(_plain(run, progress))
            if drawn:
                self.say(f"  {self._sample}")
            self._shown = time.monotonic()

    def close(self) -> None:
        """Leaves the last lines standing, and the log."""
        if self._block:
            self._block.close()
        if self._log:
            self._log.close()

    def conclude(self, run: "Run", output: str) -> None:
        """The last words: why it stopped early, where the model was saved, how good it is."""
        if self._quiet:
            return
        if run.out_of_patience and run.training.fraction() < 1:
            self.say(
                f"stopped early, at {run.training.fraction():.0%} of the budget: "
                f"{run.config.patience:,} validations were no better than the best (--patience)"
            )
        best, figure = run.training.place["best_nats"], ""
        if best is not None:
            from charlm.scoring import FEW

            figure = f", {best * run.about.bits_per_nat:.4f} bits per character in validation"
            unseen = run.corpus.valid.unseen / max(1, run.corpus.valid.events)
            history, step = run.training.history, run.training.place["step"]
            if history[-1]["step"] < step:  # it was stopped
                kept = min(history, key=lambda record: float(record["valid_nats"]))
                figure += f" at step {kept['step']:,} of {step:,}"
            if unseen > FEW:
                figure += f"; {unseen:.1%} of its tokens the model never saw, and <UNK> spells none"
        self.say(f"saved {output}{figure}")


def _plan_lines(run: "Run", resumed: bool) -> list[tuple[str, str]]:
    model, config, about = run.model, run.config, run.about
    tokenizer = run.corpus.tokenizer
    return [
        (
            "text",
            f"{about.name}: {about.train_characters:,} characters to train on, "
            f"{about.valid_characters:,} to validate on",
        ),
        (
            "tokens",
            f"{tokenizer.kind}, {tokenizer.size:,} of them; {_sequences(run)}",
        ),
        (
            "model",
            f"{model.shape}, {model.parameters:,} parameters "
            f"({model.parameters / about.train_characters:.2g} a character)",
        ),
        (
            "training",
            f"batch {config.batch_size}, BPTT {config.bptt}, rate {config.learning_rate:g}, "
            f"dropout {config.dropout:g}, decay {config.weight_decay:g}, {config.precision}",
        ),
        ("budget", _budget(run, resumed) + (", goes on from its last step" if resumed else "")),
    ]


def _begins(
    run: "Run", init_from: str | None, earlier: "Checkpoint | None"
) -> list[tuple[str, str]]:
    """Whose weights it begins with, if another run's."""
    if not init_from or not earlier:
        return []
    new = run.corpus.tokenizer.size - earlier.tokenizer.size
    tokens = f"{new:,} new token{'s' * (new != 1)}"
    return [("begins", f"with the weights of {init_from}, {tokens}")]


def _short_lines(run: "Run") -> float:
    """The characters of a line in the mean, where they are few and a whole text is learned."""
    from charlm.tokenizers import UNK

    train, newline = run.corpus.train, run.corpus.tokenizer.newline
    if run.model.per_line or newline == UNK:
        return 0.0
    lines = int((train.ids[:SURVEYED] == newline).sum())
    mean = min(SURVEYED, train.events) / max(1, lines) / run.about.tokens_per_character
    return mean - 1 if lines >= FEW_LINES and mean - 1 < SHORT_LINE else 0.0


def _sequences(run: "Run") -> str:
    if run.model.per_line:
        return "each line is a sequence"
    several = run.corpus.files > 1
    return "each file is a sequence" if several else "the text is one long sequence"


def _budget(run: "Run", resumed: bool) -> str:
    """How long, and how often over the text, by which sizes, dropout and decay are chosen."""
    config, expected = run.config, duration(run.expected_seconds)
    about = "a few seconds" if run.expected_seconds < FEW_SECONDS else f"about {expected}"
    if config.epochs is not None:
        return f"{_passes(f'{config.epochs:g}')}, {about}"
    passes = f"about {_passes(_short(run.expected_passes))}"
    if config.steps is not None:
        return f"{config.steps:,} step{'s' * (config.steps != 1)}, {about}, {passes}"
    return f"{expected} from the start of the {'first ' * resumed}command, {passes}"


def _passes(number: str) -> str:
    return f"{number} pass{'es' * (number != '1')} over the text"


def _short(number: float) -> str:
    """Two digits, and no powers of ten: 0.015, 3.4, 240, 24,000."""
    return f"{float(f'{number:.2g}'):,.0f}" if number >= 10 else f"{number:.2g}"


def _record(run: "Run", progress: "Progress") -> dict[str, Any]:
    record = {
        "step": progress.step,
        "steps": progress.steps,
        "epoch": progress.epoch,
        "seconds": progress.seconds,
        "train_nats": progress.train_nats,
        "valid_nats": progress.valid_nats,
        "gradient_norm": progress.gradient_norm,
        "clipped": progress.clipped,
        "learning_rate": progress.learning_rate,
    }
    rate = progress.tokens_per_second / run.about.tokens_per_character
    return record | {"characters_per_second": rate}


def _plain(run: "Run", progress: "Progress") -> str:
    bits = run.about.bits_per_nat
    valid = ""
    if progress.valid_nats is not None and progress.best_nats is not None:
        valid = (
            f", validation {progress.valid_nats * bits:.4f} (best {progress.best_nats * bits:.4f})"
        )
    rate = progress.tokens_per_second / run.about.tokens_per_character
    return (
        f"{progress.fraction:4.0%}  step {progress.step:,}, epoch {progress.epoch:.2f}: "
        f"{progress.train_nats * bits:.4f} bits per character{valid}, gradient norm "
        f"{progress.gradient_norm:.3f} ({progress.clipped:.0%} clipped), rate "
        f"{progress.learning_rate:.2e}, {rate:,.0f} characters/s, "
        f"{duration(progress.seconds_left)} left"
    )


def _sample(run: "Run") -> str:
    """A short text by the best weights so far."""
    from charlm.inference import NumpyEngine
    from charlm.sampling import Sampler, generate, never_written
    from charlm.tokenizers import EOS

    tokenizer = run.corpus.tokenizer
    engine = NumpyEngine(run.model, run.training.result())
    seeds = [[run.config.seed, run.training.place["step"]]]
    sampler = Sampler(0.8, forbidden=never_written(tokenizer, run.model.per_line))
    tokens = generate(engine, sampler, tokenizer.encode(""), seeds, SAMPLE_LENGTH)
    text = tokenizer.decode(int(token[0]) for token in tokens if token[0] != EOS)
    return on_one_line(text)[:SAMPLE_LENGTH]
