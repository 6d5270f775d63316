"""The ready models that are part of wsedtk. Their model directories are package data.

wsedtk/models/ready/<name>/    the model directory, with README.md and CREDITS.md
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class IncludedModel:
    """A ready model that is part of wsedtk.

    Attributes
    ----------
    summary : str
        One line about the network and its training data.
    licence, citation, source : str
        The licence of the weights, the publication to cite, and the address of the training data.
    """

    summary: str
    licence: str
    citation: str
    source: str


INCLUDED_MODELS = {
    "example": IncludedModel(
        summary="A small CRNN for first trials, trained on mixtures of ESC-10's recordings",
        licence="MIT",
        citation="K. J. Piczak, ESC: Dataset for environmental sound classification, 2015",
        source="https://github.com/karoldvl/ESC-10",
    )
}
