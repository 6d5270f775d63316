"""`python -m wsedtk` is `wsedtk`."""

from wsedtk.cli import main

if __name__ == "__main__":
    main()
