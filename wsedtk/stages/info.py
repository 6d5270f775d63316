"""info: files and folders -> their kind, origin, date, inputs and completeness.

An artefact is a file or folder that wsedtk can describe, such as a model directory.
"""

import dataclasses

from wsedtk.core.errors import InputError
from wsedtk.inspection import artefacts
from wsedtk.inspection.description import About
from wsedtk.stages.options.results import InfoOptions


@dataclasses.dataclass(frozen=True)
class InfoResult:
    """The result of `run`: the descriptions of artefacts.

    Attributes
    ----------
    descriptions : tuple of About
        One description for each artefact. The attribute `faults` of a description lists damage.
    errors : tuple of str
        One message for each path that cannot be described.
    """

    descriptions: tuple[About, ...]
    errors: tuple[str, ...]


def run(options: InfoOptions) -> InfoResult:
    """Describe artefacts, as `wsedtk info` does.

    If an artefact is damaged or missing, no exception is raised. The result lists damage in the
    descriptions, and contains an error message for each path that cannot be described.

    Parameters
    ----------
    options : InfoOptions
        The paths of the artefacts.

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
