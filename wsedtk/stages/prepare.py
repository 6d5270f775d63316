"""prepare: the metadata and audio of a corpus -> data directories."""

from wsedtk.core.errors import InputError
from wsedtk.corpora.registry import CORPORA, PrepareResult, options_class


def run(corpus: str, options: object) -> PrepareResult:
    """Write the data directories of a corpus, as `wsedtk prepare` does.

    Parameters
    ----------
    corpus : str
        The name of a built-in corpus, or `package.module:function` of a user-defined corpus.
    options : object
        The options of the corpus: an instance of its options class.

    Returns
    -------
    PrepareResult

    Raises
    ------
    InputError
        If the corpus is unknown, if the options belong to another corpus, if an input is wrong, or
        if the function of a user-defined corpus does not return a PrepareResult.

    Examples
    --------
    >>> from wsedtk.corpora.dcase2017 import Dcase2017Options
    >>> result = run("dcase2017", Dcase2017Options("lists", "audio", "data", jobs=4))
    >>> [(one.folder, len(one.dataset)) for one in result.sets]
    """
    kind = options_class(corpus)
    if not isinstance(options, kind):
        raise InputError(
            f"corpus {corpus!r}: found options of {type(options).__name__}; "
            f"expected {kind.__name__}"
        )
    result = CORPORA.get(corpus)(options)
    if not isinstance(result, PrepareResult):
        raise InputError(
            f"corpus {corpus!r}: returned {type(result).__name__}; expected a PrepareResult"
        )
    return result
