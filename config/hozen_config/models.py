"""The public face: every typed model of the configuration, and how to load it."""

from __future__ import annotations

from hozen_config.casefile import (
    REQUIRED,
    CaseFile,
    case_from_environment,
    case_from_options,
    load_case_file,
)
from hozen_config.profile import (
    ArtifactLimits,
    Description,
    Epoch,
    Limits,
    Profile,
    ProfileArtifact,
    load_profile,
    profile_names,
)
from hozen_config.settings import (
    AgentSettings,
    CollectorSettings,
    load_agent_settings,
    load_collector_settings,
)

__all__ = [
    "REQUIRED",
    "AgentSettings",
    "ArtifactLimits",
    "CaseFile",
    "CollectorSettings",
    "Description",
    "Epoch",
    "Limits",
    "Profile",
    "ProfileArtifact",
    "case_from_environment",
    "case_from_options",
    "load_agent_settings",
    "load_case_file",
    "load_collector_settings",
    "load_profile",
    "profile_names",
]
