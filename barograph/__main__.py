"""`python -m barograph`."""

from barograph.launcher import main

if __name__ == "__main__":  # a child process of a replay imports this file again, to find its work
    main()
