"""`python -m unetseg` is `unetseg`."""

from unetseg.cli import main

if __name__ == "__main__":
    main()
