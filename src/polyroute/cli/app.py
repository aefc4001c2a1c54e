"""The commands and their options; what each of them does has a folder of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from polyroute._version import __version__
from polyroute.cli.chat.command import Question, chat_status
from polyroute.cli.chat.stdin import question_from
from polyroute.cli.demo.command import Show, demo_status
from polyroute.cli.demo.prompts import bundled_prompts, prompts_in

__all__ = ["app"]

app: typer.Typer = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Routes LLM calls inside your own process: one API, many models, no server.",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(__version__)
        raise typer.Exit


@app.callback()
def common(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """What every command has in common."""


@app.command()
def chat(
    question: Annotated[
        str | None, typer.Argument(help="What to ask; - reads it from stdin.", show_default=False)
    ] = None,
    *,
    model: Annotated[
        list[str] | None,
        typer.Option("--model", "-m", help="Who is asked; given again: who stands in, in order."),
    ] = None,
    system: Annotated[str | None, typer.Option(help="Instructions that come before the question.")] = None,
    stream: Annotated[
        bool | None,
        typer.Option(
            "--stream/--no-stream", help="Print the answer as it is written.", show_default="stream"
        ),
    ] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Print who would serve and who would not; ask nobody.")
    ] = False,
    max_tokens: Annotated[int | None, typer.Option(min=1, help="The longest answer, in tokens.")] = None,
    temperature: Annotated[float | None, typer.Option(min=0.0, help="How freely words are drawn.")] = None,
    timeout: Annotated[float | None, typer.Option(min=0.0, help="Seconds for the whole call.")] = None,
    base_url: Annotated[
        str | None, typer.Option(help="Another host that speaks OpenAI's chat completions.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole reply as JSON.")] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Log each attempt, and show tracebacks.")
    ] = False,
) -> None:
    """Ask a question.

    Who is asked is named by --model, else by the environment variable POLYROUTE_MODEL (several
    separated by commas), else it is a small model of the first provider whose key is set.
    """
    if as_json and stream:
        raise typer.BadParameter("--json prints the whole reply at once; leave out --stream")
    asked = Question(
        text=question_from(question),
        models=tuple(model or ()),
        system=system,
        stream=not as_json if stream is None else stream,
        explain=explain,
        max_tokens=max_tokens,
        temperature=temperature,
        timeout=timeout,
        base_url=base_url,
        as_json=as_json,
        verbose=verbose,
    )
    raise typer.Exit(chat_status(asked))


@app.command()
def demo(
    *,
    seed: Annotated[int, typer.Option(help="Chance starts here: the same seed, the same run.")] = 7,
    calls: Annotated[int, typer.Option(min=1, max=20_000, help="How many calls are made.")] = 300,
    prompts: Annotated[
        Path | None,
        typer.Option(
            exists=True, dir_okay=False, help="Prompts of your own, one a line.", show_default="bundled"
        ),
    ] = None,
    real: Annotated[
        bool, typer.Option("--real", help="Let providers whose keys are set answer a few calls. Costs money.")
    ] = False,
    plain: Annotated[
        bool, typer.Option("--plain", help="Print lines instead of a live board.", show_default="no terminal")
    ] = False,
    seconds: Annotated[float, typer.Option(min=1.0, max=18.0, help="Over how long calls come in.")] = 10.0,
) -> None:
    """See a fleet serve through an outage; needs no key and no network.

    Simulated providers with different prices and speeds answer real prompts; one dies and comes
    back, one limits its callers. All that is printed is measured in the run.
    """
    asked = bundled_prompts() if prompts is None else prompts_in(prompts)
    if not asked:
        raise typer.BadParameter(f"{prompts} holds no prompt", param_hint="--prompts")
    raise typer.Exit(
        demo_status(Show(asked, calls=calls, seed=seed, seconds=seconds, real=real, plain=plain))
    )
