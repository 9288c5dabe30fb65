"""`python -m charlm` and the console script."""

from charlm.cli import main

if __name__ == "__main__":
    main()
