"""`python -m verticals`: the command line, where its script is not on the path."""

from verticals.cli import main

if __name__ == "__main__":
    main()
