"""Encoders of posters and plots, one per file; `pick` finds one by its name."""

from gnnrec.features.encoders.base import Encoder, EncoderError
from gnnrec.features.encoders.pick import AUTO, FORMS, pick

__all__ = ["AUTO", "FORMS", "Encoder", "EncoderError", "pick"]
