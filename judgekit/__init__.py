"""judgekit: pytest for LLM judges. The names below are the public ones; plugins import nothing else.

Names are resolved on first use, so that `judgekit --help` loads neither pydantic nor numpy.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from judgekit.contracts import (
        Backend,
        DataLoader,
        Judge,
        Metric,
        Options,
        Reporter,
        Study,
        Trainer,
    )
    from judgekit.errors import (
        AuthError,
        BackendError,
        CallError,
        CheckpointError,
        ConfigError,
        DataError,
        Interrupted,
        JudgekitError,
        ModelNotFound,
        PluginError,
        PromptError,
        QuotaError,
        StorageError,
        Unreachable,
        UsageError,
    )
    from judgekit.hookspecs import hookimpl
    from judgekit.instructions import read_instructions
    from judgekit.records import (
        NO_RESPONSE,
        Check,
        Continuation,
        CurvePoint,
        Estimate,
        Interval,
        JudgeCard,
        Message,
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
        Table,
        Token,
        Training,
        TrainingSample,
        Usage,
        Verdict,
    )
    from judgekit.spec import RunSpec, build_options
    from judgekit.templates import render_instruction
    from judgekit.transport import Http, HttpResult, HttpStatusError, Secret

__version__ = "0.1.0"

__all__ = [
    "AuthError",
    "Backend",
    "BackendError",
    "CallError",
    "Check",
    "CheckpointError",
    "ConfigError",
    "Continuation",
    "CurvePoint",
    "DataError",
    "DataLoader",
    "Estimate",
    "Http",
    "HttpResult",
    "HttpStatusError",
    "Interrupted",
    "Interval",
    "Judge",
    "JudgeCard",
    "JudgekitError",
    "Message",
    "Metric",
    "ModelNotFound",
    "NO_RESPONSE",
    "Options",
    "PluginError",
    "Problem",
    "PromptError",
    "QuotaError",
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
    "Secret",
    "Section",
    "Series",
    "StorageError",
    "Study",
    "Table",
    "Token",
    "Trainer",
    "Training",
    "TrainingSample",
    "Unreachable",
    "Usage",
    "UsageError",
    "Verdict",
    "__version__",
    "build_options",
    "hookimpl",
    "read_instructions",
    "render_instruction",
]

_HOMES = {
    "contracts": "Backend DataLoader Judge Metric Options Reporter Study Trainer",
    "errors": "AuthError BackendError CallError CheckpointError ConfigError DataError Interrupted JudgekitError"
    " ModelNotFound PluginError PromptError QuotaError StorageError Unreachable UsageError",
    "hookspecs": "hookimpl",
    "instructions": "read_instructions",
    "records": "NO_RESPONSE Check Continuation CurvePoint Estimate Interval JudgeCard Message Problem Reply Request"
    " Response Row RunRecord RunView Sample Sampling Section Series Table Token Training TrainingSample Usage Verdict",
    "spec": "RunSpec build_options",
    "templates": "render_instruction",
    "transport": "Http HttpResult HttpStatusError Secret",
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
