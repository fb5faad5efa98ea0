"""The table of built-in sources."""

from itertools import islice

import pytest

from hornbook.config.sections import DataConfig
from hornbook.data.builtin import BUILTINS, IDENTITIES
from hornbook.text.conversation import Conversation


@pytest.mark.parametrize("name", sorted(BUILTINS))
def test_every_built_in_source_gives_text_or_conversations(name):
    documents = list(islice(BUILTINS[name](DataConfig()), 5))
    assert len(documents) == 5
    assert all(isinstance(document, (str, Conversation)) for document in documents)


def test_every_built_in_source_says_what_its_text_depends_on():
    assert set(BUILTINS) == set(IDENTITIES)
