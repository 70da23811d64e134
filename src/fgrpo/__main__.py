"""``python -m fgrpo``."""

from fgrpo.cli import main

if __name__ == "__main__":
    main()
