"""info: any artefact -> its kind, origin, date, inputs and completeness."""

import dataclasses

from wsedtk.core.errors import InputError
from wsedtk.inspection import artefacts
from wsedtk.inspection.description import About
from wsedtk.stages.options.results import InfoOptions


@dataclasses.dataclass(frozen=True)
class InfoResult:
    """The descriptions of artefacts. `run` returns one.

    Attributes
    ----------
    descriptions : tuple of About
        A description of each known artefact. Its `faults` describe the damage.
    errors : tuple of str
        The reason for each path that has no description.
    """

    descriptions: tuple[About, ...]
    errors: tuple[str, ...]


def run(options: InfoOptions) -> InfoResult:
    """Describe artefacts.

    Damaged and missing artefacts raise no exception: the result lists them.

    Parameters
    ----------
    options : InfoOptions
        The artefacts.

    Returns
    -------
    InfoResult
    """
    descriptions: list[About] = []
    errors: list[str] = []
    for path in options.paths:
        try:
            descriptions.append(artefacts.describe(path))
        except InputError as error:
            errors.append(str(error))
    return InfoResult(tuple(descriptions), tuple(errors))
