"""`python -m wsedtk` is `wsedtk`."""

from wsedtk.cli.main import main

if __name__ == "__main__":
    main()
