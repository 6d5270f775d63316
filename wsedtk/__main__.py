"""Run the command line with `python -m wsedtk`."""

from wsedtk.cli.main import main

if __name__ == "__main__":
    main()
