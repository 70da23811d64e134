"""What the models of all recipes share: their base, and the ranges of numbers and names.

Importing this module costs pydantic alone.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

PositiveInt = Annotated[int, Field(ge=1)]
NonNegativeInt = Annotated[int, Field(ge=0)]
PositiveFloat = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegativeFloat = Annotated[float, Field(ge=0, allow_inf_nan=False)]

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"  # also names a folder


class Settings(BaseModel):
    """Base of all settings: unknown fields are errors, values do not change once made."""

    model_config = ConfigDict(extra="forbid", frozen=True)
