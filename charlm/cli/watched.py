"""An engine that tells how far it is with a text, so that a command can show it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from charlm.cli.terminal import Waiting
from charlm.threads import threads_for

if TYPE_CHECKING:
    from charlm.inference import Array, Choice, Engine, Exact, Ids, State
    from charlm.scoring import Watch


class Watched:
    """The engine given; of `tokens` tokens in all, `watch` is told the share that it has read."""

    def __init__(self, engine: "Engine", tokens: int, watch: "Watch") -> None:
        self.config = engine.config
        self._engine = engine
        self._left = self._tokens = max(1, tokens)
        self._watch = watch

    def initial_state(self, batch: int) -> "State":
        return self._engine.initial_state(batch)

    def logits(self, tokens: "Ids", state: "State") -> "tuple[Array, State]":
        self._count(tokens)
        return self._engine.logits(tokens, state)

    def draw(
        self, tokens: "Ids", state: "State", choice: "Choice", uniforms: "Exact"
    ) -> "tuple[Ids, State]":
        self._count(tokens)
        return self._engine.draw(tokens, state, choice, uniforms)

    def nats(self, tokens: "Ids", targets: "Ids", state: "State") -> "tuple[Array, State]":
        self._count(tokens)
        return self._engine.nats(tokens, targets, state)

    def after(self, tokens: "Ids", state: "State") -> "State":
        self._count(tokens)
        return self._engine.after(tokens, state)

    def _count(self, tokens: "Ids") -> None:
        self._left = max(0, self._left - tokens.size)
        self._watch(1 - self._left / self._tokens)


@contextmanager
def reading(engine: "Engine", tokens: int, task: str = "reading") -> "Iterator[Engine]":
    """The engine, watched: on a terminal a line on stderr says how far it is, until the end."""
    with threads_for(engine.config.parameters), Waiting(task) as waiting:
        yield Watched(engine, tokens, waiting.tell)
