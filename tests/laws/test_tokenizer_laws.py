"""What every tokenizer kind and every template must obey. The proofs are those that users run."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hornbook.config.tokenizers import (
    BPETokenizerConfig,
    BytesTokenizerConfig,
    CharsTokenizerConfig,
    ExternalTokenizerConfig,
    SuperBPETokenizerConfig,
    WordsTokenizerConfig,
)
from hornbook.proofs.proof import require
from hornbook.proofs.tokenizer import prove_template, prove_tokenizer
from hornbook.text.conversation import Conversation, Message
from hornbook.text.encoding import HARD_TEXTS
from hornbook.text.template import TEMPLATES, render
from hornbook.text.tokenizer import SPECIALS, load_tokenizer
from hornbook.text.tokenizer_kinds import KINDS, build_tokenizer

TEXTS = [*HARD_TEXTS, "<|eos|> <|user|> is |assistant|> of <| |> s o e u think " * 30, "The cat sat. " * 20] * 5
PARTS = [
    *SPECIALS,
    *(name[:-1] for name in SPECIALS),
    "<|",
    "|>",
    "<",
    "|",
    ">",
    "/",
    "eos",
    " ",
    "\n",
    "é",
    "＜|eos|＞",
]


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """One tokenizer of every kind, and of bpe and superbpe with every pattern."""
    configs = {
        "bytes": BytesTokenizerConfig(),
        "chars": CharsTokenizerConfig(),
        "words": WordsTokenizerConfig(min_count=1),
        "bpe": BPETokenizerConfig(vocab_size=600),
        "bpe llama-bpe": BPETokenizerConfig(vocab_size=600, pattern="llama-bpe"),
        "bpe gpt-2": BPETokenizerConfig(vocab_size=600, pattern="gpt-2"),
        "superbpe": SuperBPETokenizerConfig(vocab_size=600, transition=0.7),
        "superbpe llama-bpe": SuperBPETokenizerConfig(vocab_size=600, transition=0.7, pattern="llama-bpe"),
        "superbpe gpt-2": SuperBPETokenizerConfig(vocab_size=600, transition=0.7, pattern="gpt-2"),
    }
    tokenizers = {name: build_tokenizer(config, TEXTS) for name, config in configs.items()}
    folder = tmp_path_factory.mktemp("foreign")
    tokenizers["bpe"].save(folder)
    tokenizers["external"] = build_tokenizer(ExternalTokenizerConfig(path=str(folder)), [])
    assert {name.split()[0] for name in tokenizers} == set(KINDS)
    return tokenizers


NAMES = [
    *sorted(KINDS),
    *(f"{kind} {pattern}" for kind in ("bpe", "superbpe") for pattern in ("llama-bpe", "gpt-2")),
]


@pytest.mark.parametrize("name", NAMES)
def test_every_kind_passes_the_proofs(built, name):
    require(prove_tokenizer(built[name], texts=TEXTS[:20]), subject=name)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("template", sorted(TEMPLATES))
def test_every_template_passes_the_proofs_with_every_kind(built, name, template):
    require(prove_template(template, built[name]), subject=f"{template} with {name}")


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=200, deadline=None)
@given(text=st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_comes_back_byte_for_byte(built, name, text):
    tokenizer = built[name]
    ids = tokenizer.encode(text)
    assert tokenizer.decode_bytes(ids) == text.encode()
    assert tokenizer.decode(ids) == text
    assert not set(ids) & set(tokenizer.specials.values())


@pytest.mark.parametrize("name", NAMES)
def test_ten_thousand_forgeries_give_no_special_token(built, name):
    tokenizer, chance = built[name], random.Random(name)
    special = set(tokenizer.specials.values())
    texts = ["".join(chance.choices(PARTS, k=chance.randint(1, 8))) for _ in range(10_000)]
    for text, ids in zip(texts, tokenizer.encode_batch(texts), strict=True):
        assert special.isdisjoint(ids), text


@pytest.mark.parametrize("name", NAMES)
def test_forgeries_split_across_messages_change_no_role(built, name):
    tokenizer, chance = built[name], random.Random(name)
    special = set(tokenizer.specials.values())

    def skeleton(texts):
        roles = ("system", "user", "think", "assistant", "user", "assistant")
        said = Conversation(tuple(Message(role, f"x{text}") for role, text in zip(roles, texts, strict=True)))
        return [index for index in render("forge1", said, tokenizer).ids if index in special]

    expected = skeleton([""] * 6)
    for _ in range(300):
        assert skeleton(["".join(chance.choices(PARTS, k=chance.randint(1, 4))) for _ in range(6)]) == expected


@pytest.mark.parametrize("name", NAMES)
def test_the_fast_path_gives_the_ids_of_the_library(built, name):
    tokenizer = built[name]
    assert tokenizer.verify_fast_path(TEXTS)
    assert tokenizer.fast_path != "tokenizers"
    for text, ids in zip(TEXTS, tokenizer.encode_batch(TEXTS, threads=2), strict=True):
        assert list(ids) == tokenizer.encode(text)


@pytest.mark.parametrize("name", NAMES)
def test_saved_and_loaded_every_kind_is_the_same(built, name, tmp_path):
    built[name].save(tmp_path)
    loaded = load_tokenizer(tmp_path)
    assert (loaded.hash, loaded.kind) == (built[name].hash, built[name].kind)
    assert loaded.encode(TEXTS[4]) == built[name].encode(TEXTS[4])


@pytest.mark.parametrize("name", NAMES)
def test_ids_are_a_permutation(built, name):
    tokenizer = built[name]
    ordinary = [entry for entry in tokenizer.token_bytes() if entry]
    assert len(ordinary) == len(set(ordinary)) == tokenizer.vocab_size - len(tokenizer.specials)
