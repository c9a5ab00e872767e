"""``python -m pyredund`` is the command line."""

from pyredund.cli import main

if __name__ == "__main__":
    main(prog_name="pyredund")
