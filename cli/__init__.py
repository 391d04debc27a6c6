"""The command line: `simulate` and `simcore`. It parses, calls and prints."""
