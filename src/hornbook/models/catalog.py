"""The architectures by name. A checkpoint names its architecture by a key of this dict, never by a path."""

from hornbook.config.model import ModelConfig
from hornbook.models.brahma.config import BrahmaConfig
from hornbook.models.gpt.config import GPTConfig
from hornbook.models.grug.config import GrugConfig
from hornbook.models.llama.config import LlamaConfig
from hornbook.models.rnn.config import RNNConfig

CONFIGS: dict[str, type[ModelConfig]] = {
    "llama": LlamaConfig,
    "gpt": GPTConfig,
    "grug": GrugConfig,
    "rnn": RNNConfig,
    "brahma": BrahmaConfig,
}

AnyModelConfig = LlamaConfig | GPTConfig | GrugConfig | RNNConfig | BrahmaConfig
"""What `[model]` in a recipe may be; `arch` says which. A test compares it with CONFIGS."""
