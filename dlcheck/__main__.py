"""``python -m dlcheck``: the command line."""

from dlcheck.cli import main

if __name__ == "__main__":
    main(prog_name="dlcheck")
