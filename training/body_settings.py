"""Settings of an encoder that is given bodies as lengths of bones and directions of bones."""

from typing import Self

from pydantic import Field, model_validator

from storage.settings import Settings


class BodySettings(Settings):
    """Of what an embedding of a body is made: parts of length 1, side by side, each times the root of its weight.

    So the cosine of two embeddings is the mean of the parts' cosines, by these weights.
    """

    lengths: float = Field(1.0, ge=0, description="Weight of the mean lengths of bones.")
    directions: float = Field(2.0, ge=0, description="Weight of the mean directions of bones: how somebody holds up.")
    motion: float = Field(
        0.0, ge=0, description="Weight of the deviations of bones' directions over time: how much they move."
    )
    graph: float = Field(
        0.0, ge=0, description="Weight of the skeleton graph transformer over poses with equal bones; 0: there is none."
    )
    shrinkage: float = Field(
        0.2,
        gt=0,
        le=1,
        description="How far the covariance of a person's recordings, which the first three parts are whitened by at "
        "first, is drawn to a multiple of the identity.",
    )

    @model_validator(mode="after")
    def _has_a_part(self) -> Self:
        if not (self.lengths or self.directions or self.motion or self.graph):
            raise ValueError("skeleton_only.body: no part has any weight; set lengths, directions, motion or graph")
        return self
