"""judgekit: pytest for LLM judges. The names below are the public ones; plugins import nothing else.

Names are resolved on first use, so that `judgekit --help` loads neither pydantic nor numpy.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from judgekit.api import Score, Scorer, decide, read_run, run_config
    from judgekit.asking import Asker, Model
    from judgekit.cli.asking import asks_backends
    from judgekit.cli.progress import download_progress
    from judgekit.cli.results import print_table
    from judgekit.contracts import Backend, DataLoader, Errand, Judge, Metric, Options, Reporter, Study, Trainer
    from judgekit.conversion import Loss, objects_of, write_items, write_objects
    from judgekit.downloads import RemoteFile, download
    from judgekit.errors import (
        AuthError,
        BackendError,
        CallError,
        CheckpointError,
        ConfigError,
        DataError,
        IncompleteError,
        Interrupted,
        JudgekitError,
        ModelNotFound,
        NotInLedger,
        NotScored,
        PluginError,
        PreflightError,
        PromptError,
        QuotaError,
        StorageError,
        Unreachable,
        UsageError,
    )
    from judgekit.folder import write_atomically
    from judgekit.formats import (
        TrainingDataOptions,
        holds_conversations,
        read_answered,
        read_conversations,
        read_instructions,
        read_items,
    )
    from judgekit.generating import prompt_messages
    from judgekit.hookspecs import hookimpl
    from judgekit.instructions import Item, Split, split_sizes
    from judgekit.itemwise import item_differences, item_scores
    from judgekit.lineage import Descent, descents
    from judgekit.plugins import command_group, one_of
    from judgekit.probabilities import spread_of_tokens
    from judgekit.records import (
        NO_RESPONSE,
        Agreement,
        Breakdown,
        Check,
        Continuation,
        Conversation,
        Corrected,
        CurvePoint,
        Estimate,
        Figure,
        Gate,
        GateClaim,
        Group,
        Interval,
        JudgeCard,
        Message,
        Moved,
        Place,
        PooledRun,
        Problem,
        Reply,
        Request,
        Response,
        Row,
        RunRecord,
        RunView,
        Sample,
        Sampling,
        Section,
        Series,
        Statistic,
        Table,
        Token,
        Training,
        TrainingSample,
        Usage,
        VarianceBudget,
        Verdict,
        VerdictStatus,
    )
    from judgekit.rouge import rouge_l, rouge_words
    from judgekit.secret import shortened, variable
    from judgekit.spec import RunSpec, build_options, read_overrides
    from judgekit.styles import (
        Span,
        Style,
        render_instruction,
        render_prompt,
        render_training,
        style_files,
        style_named,
    )
    from judgekit.templates import Prompts
    from judgekit.training import TrainingLog, TrainingState
    from judgekit.transport import Http, HttpResult, HttpStatusError, Secret
    from judgekit.verdicts import without_thoughts
    from judgekit.words import DISTRIBUTION, counted, install_hint

__version__ = "0.1.0"

__all__ = [
    "Agreement",
    "Asker",
    "AuthError",
    "Backend",
    "BackendError",
    "Breakdown",
    "CallError",
    "Check",
    "CheckpointError",
    "ConfigError",
    "Continuation",
    "Conversation",
    "Corrected",
    "CurvePoint",
    "DISTRIBUTION",
    "DataError",
    "DataLoader",
    "Descent",
    "Errand",
    "Estimate",
    "Figure",
    "Gate",
    "GateClaim",
    "Group",
    "Http",
    "HttpResult",
    "HttpStatusError",
    "IncompleteError",
    "Interrupted",
    "Interval",
    "Item",
    "Judge",
    "JudgeCard",
    "JudgekitError",
    "Loss",
    "Message",
    "Metric",
    "Model",
    "ModelNotFound",
    "Moved",
    "NO_RESPONSE",
    "NotInLedger",
    "NotScored",
    "Options",
    "Place",
    "PluginError",
    "PooledRun",
    "PreflightError",
    "Problem",
    "PromptError",
    "Prompts",
    "QuotaError",
    "RemoteFile",
    "Reply",
    "Reporter",
    "Request",
    "Response",
    "Row",
    "RunRecord",
    "RunSpec",
    "RunView",
    "Sample",
    "Sampling",
    "Score",
    "Scorer",
    "Secret",
    "Section",
    "Series",
    "Span",
    "Split",
    "Statistic",
    "StorageError",
    "Study",
    "Style",
    "Table",
    "Token",
    "Trainer",
    "Training",
    "TrainingDataOptions",
    "TrainingLog",
    "TrainingSample",
    "TrainingState",
    "Unreachable",
    "Usage",
    "UsageError",
    "VarianceBudget",
    "Verdict",
    "VerdictStatus",
    "__version__",
    "asks_backends",
    "build_options",
    "command_group",
    "counted",
    "decide",
    "descents",
    "download",
    "download_progress",
    "holds_conversations",
    "hookimpl",
    "install_hint",
    "item_differences",
    "item_scores",
    "objects_of",
    "one_of",
    "print_table",
    "prompt_messages",
    "read_answered",
    "read_conversations",
    "read_instructions",
    "read_items",
    "read_overrides",
    "read_run",
    "render_instruction",
    "render_prompt",
    "render_training",
    "rouge_l",
    "rouge_words",
    "run_config",
    "shortened",
    "split_sizes",
    "spread_of_tokens",
    "style_files",
    "style_named",
    "variable",
    "without_thoughts",
    "write_atomically",
    "write_items",
    "write_objects",
]

_HOMES = {
    "api": "Score Scorer decide read_run run_config",
    "asking": "Asker Model",
    "cli.asking": "asks_backends",
    "cli.progress": "download_progress",
    "cli.results": "print_table",
    "contracts": "Backend DataLoader Errand Judge Metric Options Reporter Study Trainer",
    "downloads": "RemoteFile download",
    "errors": "AuthError BackendError CallError CheckpointError ConfigError DataError IncompleteError Interrupted"
    " JudgekitError ModelNotFound NotInLedger NotScored PluginError PreflightError PromptError QuotaError"
    " StorageError Unreachable UsageError",
    "conversion": "Loss objects_of write_items write_objects",
    "folder": "write_atomically",
    "formats": "TrainingDataOptions holds_conversations read_answered read_conversations read_instructions read_items",
    "generating": "prompt_messages",
    "hookspecs": "hookimpl",
    "instructions": "Item Split split_sizes",
    "itemwise": "item_differences item_scores",
    "lineage": "Descent descents",
    "plugins": "command_group one_of",
    "probabilities": "spread_of_tokens",
    "records": "Agreement Breakdown Check Continuation Conversation Corrected CurvePoint Estimate Figure Gate"
    " GateClaim Group Interval JudgeCard Message Moved NO_RESPONSE Place PooledRun Problem Reply Request"
    " Response Row RunRecord RunView Sample Sampling Section Series Statistic Table Token Training"
    " TrainingSample Usage VarianceBudget Verdict VerdictStatus",
    "rouge": "rouge_l rouge_words",
    "secret": "shortened variable",
    "spec": "RunSpec build_options read_overrides",
    "styles": "Span Style render_instruction render_prompt render_training style_files style_named",
    "templates": "Prompts",
    "training": "TrainingLog TrainingState",
    "transport": "Http HttpResult HttpStatusError Secret",
    "verdicts": "without_thoughts",
    "words": "DISTRIBUTION counted install_hint",
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module 'judgekit' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"judgekit.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
