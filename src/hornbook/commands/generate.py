"""`hornbook generate`: a trained model continues or answers a prompt. `hornbook.load` gives the same to programs."""

import json
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hornbook.commands.display import AsJson, show

if TYPE_CHECKING:
    from pathlib import Path

    from hornbook.config.sections import SamplingConfig
    from hornbook.inference.speak import Speaker, Spoken
    from hornbook.models.contract import LanguageModel
    from hornbook.text.tokenizer import Tokenizer


@dataclass(frozen=True)
class LoadedModel:
    """A model that speaks.

    Args:
        speaker: what does the speaking.
        sampling: what is not said to `generate` is taken from here.
    """

    speaker: "Speaker"
    sampling: "SamplingConfig"

    @property
    def model(self) -> "LanguageModel":
        """The model itself: tokens in, logits out."""
        return self.speaker.artifact.model

    @property
    def tokenizer(self) -> "Tokenizer":
        """Text to ids and back."""
        return self.speaker.artifact.tokenizer

    def generate(
        self,
        prompt: str,
        *,
        max_tokens: int | None = None,
        seed: int = 0,
        stop: str | Sequence[str] = (),
        think: bool | None = None,
        on_text: Callable[[str], None] | None = None,
        **sampling: float | None,
    ) -> "Spoken":
        """Continue or answer a prompt; `str` of the result is the answer.

        Args:
            prompt: text to continue, or what the user says, as the model was taught.
            max_tokens: most tokens to write.
            seed: the same seed gives the same text.
            stop: the text ends before the first of these.
            think: True makes the model think first, False answer at once; None leaves it the choice.
            on_text: called with each piece of text as it is written.
            sampling: temperature, top_k, top_p, min_p, repetition_penalty; None is as good as not said.

        Raises:
            ConfigError: if a value is out of range or there is no such setting.
        """
        from dataclasses import fields, replace

        from hornbook.errors import ConfigError
        from hornbook.inference.sampler import SamplingSettings
        from hornbook.lookup import suggest

        known = {field.name for field in fields(SamplingSettings)} - {"seed"}
        for name in sampling.keys() - known:
            raise ConfigError(f"There is no sampling setting named '{name}'.", fix=suggest(name, known))
        defaults = SamplingSettings.from_config(self.sampling, seed=seed)
        given = {name: value for name, value in sampling.items() if value is not None}
        return self.speaker.complete(
            prompt,
            settings=replace(defaults, **given),  # type: ignore[arg-type]  # SamplingSettings checks the ranges
            max_tokens=self.sampling.max_tokens if max_tokens is None else max_tokens,
            stop=stop,
            think=think,
            on_text=on_text,
        )


def load(folder: "str | Path", *, device: str = "auto") -> LoadedModel:
    """Load the model of a run, a checkpoint or a model folder, ready to speak.

    A model folder without its run comes from elsewhere: nobody here proved it, so it is proved now.

    Raises:
        CheckpointError: if there is none, or a file is damaged.
        ProofError: if a model from elsewhere fails a proof.
        DeviceError: if there is no such device.
    """
    from pathlib import Path

    import torch

    from hornbook.config.sections import SamplingConfig
    from hornbook.device import pick_device
    from hornbook.inference.speak import Speaker
    from hornbook.proofs.honest import prove_honest
    from hornbook.proofs.proof import require
    from hornbook.run import load_run
    from hornbook.runlog.paths import RunFolder
    from hornbook.storage.artifact import load_artifact

    root, where = Path(folder), pick_device(device)
    artifact = load_artifact(root, device=where)
    within = root.resolve().parent
    settings = RunFolder(within.parent if within.name == "checkpoints" else root).config
    if settings.is_file() and artifact.folder != root:
        return LoadedModel(Speaker(artifact), load_run(settings).sampling)
    proofs = prove_honest(artifact.model, artifact.tokenizer, artifact.template, device=where, dtype=torch.float32)
    require(proofs, subject=str(root))
    return LoadedModel(Speaker(artifact), SamplingConfig())


def generate(folder: "str | Path", prompt: str, *, device: str = "auto", **options: object) -> "Spoken":
    """Load a model and let it speak once; the options are those of `LoadedModel.generate`.

    Raises:
        HornbookError: as `load` and `LoadedModel.generate`.
    """
    return load(folder, device=device).generate(prompt, **options)  # type: ignore[arg-type]


def command(
    run: Annotated[
        str | None, typer.Argument(metavar="RUN", help="Folder of a run, a checkpoint or a model.")
    ] = None,
    prompt: Annotated[
        str | None, typer.Argument(metavar="PROMPT", help="Text to continue, or what you say.")
    ] = None,
    checkpoint: Annotated[str | None, typer.Option("--checkpoint", "--ckpt", help="RUN, as an option.")] = None,
    start: Annotated[str | None, typer.Option(help="PROMPT, as an option.")] = None,
    interactive: Annotated[bool, typer.Option("--interactive", help="Ask for one prompt after another.")] = False,
    default_prompt: Annotated[str, typer.Option(help="What an empty line stands for in --interactive.")] = "",
    max_tokens: Annotated[
        int | None, typer.Option("--max-tokens", "--length", help="Most tokens to write.")
    ] = None,
    temperature: Annotated[
        float | None, typer.Option("--temperature", "--temp", help="0 always takes the likeliest token.")
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same text.")] = 0,
    top_k: Annotated[int | None, typer.Option(help="Choose among the k likeliest tokens.")] = None,
    top_p: Annotated[float | None, typer.Option(help="Choose among tokens that together are this likely.")] = None,
    min_p: Annotated[float | None, typer.Option(help="Drop tokens below this share of the likeliest.")] = None,
    repetition_penalty: Annotated[float | None, typer.Option(help="Above 1 avoids what was written.")] = None,
    stop: Annotated[list[str] | None, typer.Option(help="End before this text; may be given again.")] = None,
    think: Annotated[
        bool | None, typer.Option("--think/--no-think", help="Think first, or answer at once.")
    ] = None,
    count: Annotated[int, typer.Option(min=1, help="How many texts, with seeds from --seed on.")] = 1,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, mps or xpu.")] = "auto",
    as_json: AsJson = False,
) -> None:
    """Let a trained model continue or answer a prompt, or one prompt after another."""
    folder, first = _model_and_prompt(run, prompt, checkpoint, start)
    _check_asked(first, interactive=interactive, as_json=as_json)
    voice = Voice(
        load(folder, device=device),
        count,
        as_json,
        max_tokens=max_tokens,
        stop=stop or (),
        think=think,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        min_p=min_p,
        repetition_penalty=repetition_penalty,
    )
    if interactive:
        _converse(voice, first, default_prompt=default_prompt, seed=seed)
    elif first is not None:
        voice.say(first, seed=seed)


class Voice:
    """Prints what a model says, piece by piece, or as JSON.

    Args:
        loaded: the model.
        count: texts a prompt.
        as_json: print JSON instead of text.
        options: of `LoadedModel.generate`.
    """

    def __init__(self, loaded: LoadedModel, count: int, as_json: bool, **options: Any) -> None:
        self.loaded, self.count, self.as_json, self.options = loaded, count, as_json, options
        self.continues = loaded.speaker.artifact.template == "text"

    def say(self, prompt: str, *, seed: int) -> None:
        """Continue or answer `prompt`, `count` times, with seeds from `seed` on."""
        texts = []
        for number in range(self.count):
            if number and not self.as_json:
                show("-" * 40)
            if self.continues and not self.as_json:
                _write(prompt)
            on_text = None if self.as_json else _write
            spoken = self.loaded.generate(prompt, seed=seed + number, on_text=on_text, **self.options)
            texts.append({"prompt": prompt, "seed": seed + number, **asdict(spoken)})
            if not self.as_json:
                show()
            for warning in spoken.warnings:
                print(f"warning: {warning}", file=sys.stderr)
        if self.as_json:
            show(json.dumps(texts if self.count > 1 else texts[0], indent=2, ensure_ascii=False))


def _converse(voice: Voice, first: str | None, *, default_prompt: str, seed: int) -> None:
    """Ask for prompts until a quit word, Ctrl-C or Ctrl-D; each stands alone, with seeds of its own."""
    from hornbook.inference.turns import QUIT_WORDS, read_turn

    with suppress(ImportError):
        import readline  # noqa: F401  # where there is one, input() edits lines and remembers them
    if hasattr(sys.stdin, "reconfigure"):
        sys.stdin.reconfigure(errors="surrogateescape")
    show(f"Type a prompt and press Enter; {', '.join(sorted(QUIT_WORDS))}, Ctrl-C or Ctrl-D ends.")
    number, line = 1, first
    try:
        while True:
            turn = read_turn(input(f"[{number}] > ") if line is None else line, default_prompt=default_prompt)
            line = None
            if turn.ends:
                return
            if not turn.prompt:
                show("The prompt is empty: type some text, or give --default-prompt.")
                continue
            voice.say(turn.prompt, seed=seed + (number - 1) * voice.count)
            number += 1
    except (EOFError, KeyboardInterrupt):
        show()


def _model_and_prompt(
    run: str | None, prompt: str | None, checkpoint: str | None, start: str | None
) -> tuple[str, str | None]:
    """Tell the folder of the model from the prompt, wherever each was given.

    Raises:
        ConfigError: if there is no model, or two models or two prompts.
    """
    from hornbook.errors import ConfigError

    if checkpoint is not None:
        if prompt is not None:
            raise ConfigError(
                f"The model is named twice: {run} and --checkpoint {checkpoint}.", fix="leave one of them out."
            )
        run, prompt = checkpoint, run
    if run is None:
        raise ConfigError("No model is named.", fix="say hornbook generate RUN PROMPT, or --checkpoint RUN.")
    if prompt is not None and start is not None:
        raise ConfigError(
            f"The prompt is given twice: {prompt!r} and --start {start!r}.", fix="leave one of them out."
        )
    return run, prompt if start is None else start


def _check_asked(prompt: str | None, *, interactive: bool, as_json: bool) -> None:
    """Raise ConfigError unless there is something to say, in a way that can be."""
    from hornbook.errors import ConfigError

    if prompt is None and not interactive:
        raise ConfigError("There is no prompt.", fix='add one, "" for a new document, or --interactive.')
    if interactive and as_json:
        raise ConfigError("--interactive prints no JSON.", fix="leave --json or --interactive out.")


def _write(piece: str) -> None:
    """Print a piece as soon as it is there; what the terminal's encoding lacks is escaped."""
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(piece.encode(encoding, "backslashreplace").decode(encoding))
    sys.stdout.flush()
