"""Define the commands of the group `models`: `list`, `fetch` and `remove`."""

import click

from wsedtk.cli.common import VERBOSITY_OPTIONS, cli, stage, verb
from wsedtk.cli.options import Parameter
from wsedtk.stages.options.models import FetchOptions, RemoveOptions


@cli.group(invoke_without_command=True, params=list(VERBOSITY_OPTIONS))
@click.pass_context
def models(ctx: click.Context) -> None:
    """List, fetch and remove ready models: networks that other people trained and published.

    Without COMMAND, the ready models are listed. Give the name of a fetched model instead of a
    model directory to `detect`, `predict`, `export`, `info` and `train --init`. The model `example`
    is part of wsedtk and need not be fetched.
    """
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_)


@verb(models, "list")
@click.option(
    "--json", "as_json", is_flag=True, help="Print a list of descriptions as JSON and nothing else."
)
def list_(as_json: bool) -> None:
    """List the ready models.

    The columns are the name of the model, its number of classes, the hop of the frame scores in
    seconds, the size of the download, the licence of the weights, whether the model is on this
    computer, and the web page of its authors.

    \b
    Example: wsedtk models list --json
    """
    found = stage("models").list_models()
    from wsedtk.cli import printing_models, printing_results

    if as_json:
        printing_results.print_json(list(map(printing_models.json_of, found)))
    else:
        print(printing_models.table(found))


@verb(models, "fetch", FetchOptions, from_files=Parameter(flag="--from", metavar="PATH"))
def fetch(options: FetchOptions) -> None:
    """Download a ready model, so that its name can be used instead of a model directory.

    The sizes and the SHA-256 hashes of the files are checked, and the files are converted to a
    model directory. An interrupted download is resumed if you run the same command again. The
    proxies in the environment variables http_proxy and https_proxy are used. This is the only
    command that downloads ready models.

    The model directory is in the folder that the environment variable WSEDTK_MODELS names. By
    default, it is in the cache folder of the user, such as ~/.cache/wsedtk/models.

    \b
    Example: wsedtk models fetch yamnet
             wsedtk models fetch yamnet --from yamnet.h5 --from yamnet_class_map.csv
    """
    result = stage("models").fetch(options)
    from wsedtk.cli import printing_models

    print(printing_models.fetched(result))


@verb(models, "remove", RemoveOptions)
def remove(options: RemoveOptions) -> None:
    """Remove a ready model from this computer.

    \b
    Example: wsedtk models remove yamnet
    """
    result = stage("models").remove(options)
    from wsedtk.cli import printing_models

    print(printing_models.removed(result))
