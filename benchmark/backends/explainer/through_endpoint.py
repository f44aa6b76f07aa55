"""Explainers behind an endpoint: asked in words, in turns, several queries at once."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import Any

from ...endpoint.client import EndpointClient
from ...endpoint.limits import OPENAI, EndpointSpec
from ...errors import UsageError
from ...evaluation.text_models import BEHIND, ENDPOINT, ENDPOINT_KIND, NO_VECTORS
from ...explainer import ExplainerCard
from ...records import SLOT, Completion, Prompt
from ...runs.reply_text import until_ended
from .chat import PLACEHOLDER

MAX_NEW_TOKENS = 32  # As of a local model


class EndpointExplainer:
    """A model that a server runs."""

    def __init__(
        self, client: EndpointClient, fields: Mapping[str, Any], *, system: str | None = None
    ) -> None:
        """Ask a client; `fields` are those of every request besides its turns."""
        self.client, self.fields, self.system = client, fields, system
        longest = fields.get("max_completion_tokens") or fields.get("max_tokens") or MAX_NEW_TOKENS
        if type(longest) is not int or longest < 1:
            raise UsageError(f"longest reply {longest!r}: give a whole number above 0")
        self.max_new_tokens = longest

    def complete(self, prompts: Sequence[Prompt]) -> list[Completion]:
        """Answer prompts in order."""
        found = dict(self.complete_each(prompts))
        return [found[number] for number in range(len(prompts))]

    def complete_each(
        self, prompts: Sequence[Prompt]
    ) -> Generator[tuple[int, Completion], None, None]:
        """Yield `(index of the prompt, reply)` as replies come.

        A reply ends, as those of local models do, with the first line that can be an answer.
        """
        bodies = [{**self.fields, "messages": turns(one, self.system)} for one in prompts]
        for number, reply in self.client.asked(bodies, self.max_new_tokens):
            yield (
                number,
                Completion(
                    text=until_ended(reply.text),
                    n_in=reply.n_in or 0,
                    n_out=reply.n_out or 0,
                    reason=reply.no_text,
                ),
            )

    def spent_before(self, n_in: int, n_out: int) -> None:
        """Count tokens of replies that a run file holds already against the highest cost."""
        self.client.limits.spend(self.client.spec.cost(n_in, n_out))

    def price(self, n_in: int, n_out: int) -> dict[str, float]:
        """Return what so many tokens cost, as a footer says it; nothing if nobody said."""
        spec = self.client.spec
        return {"price": spec.cost(n_in, n_out)} if spec.priced else {}

    def close(self) -> None:
        """Close all connections."""
        self.client.__exit__()

    def check_width(self, _d_target: int) -> None:
        """Refuse vectors of any width."""
        raise UsageError(f"{BEHIND} {NO_VECTORS}")


def turns(prompt: Prompt, system: str | None) -> list[dict[str, str]]:
    """Return a prompt as turns: instructions, solved queries, the question; vectors left out."""
    instructions = "\n\n".join(filter(None, (system, prompt.instructions)))
    found = [{"role": "system", "content": instructions}]
    for shot in prompt.shots:
        found.append({"role": "user", "content": words(shot.question)})
        found.append({"role": "assistant", "content": shot.answer})
    return [*found, {"role": "user", "content": words(prompt.question)}]


def words(question: str) -> str:
    """Return a question with its vector left out, as a local model reads it."""
    return question.replace(f" {SLOT}", SLOT).replace(SLOT, PLACEHOLDER)


def open_endpoint(
    model: str,
    server: EndpointSpec,
    *,
    max_new_tokens: int | None,
    system: str | None,
    fields: Mapping[str, Any],
) -> tuple[EndpointExplainer, ExplainerCard]:
    """Prepare to ask `openai:NAME`; `fields` replace those of a request, None drops one.

    OpenAI's own models take `max_completion_tokens`, other servers know `max_tokens`.
    """
    own = server.url.rstrip("/") != OPENAI
    length = "max_tokens" if own else "max_completion_tokens"
    told = {"temperature": 0, length: max_new_tokens or MAX_NEW_TOKENS, **fields}
    sent = {name: value for name, value in told.items() if value is not None}
    client = EndpointClient(server, model)
    explainer = EndpointExplainer(
        client, {"model": model.removeprefix(ENDPOINT), **sent}, system=system
    )
    card = ExplainerCard(
        name=model,
        kind=ENDPOINT_KIND,
        settings={
            "request": sent,
            "prompt_form": "chat",
            "max_new_tokens": explainer.max_new_tokens,
            "vectors": False,
            **({"system": system} if system else {}),
            # nobody knows what answers there
            **({"own_code": True} if own else {}),
        },
    )
    return explainer, card
