"""`python -m passerby` is the command `passerby`."""

from passerby.cli import main

if __name__ == "__main__":
    main()
