"""The command line: one verb a file, each with ``main(argv) -> exit code``; torch is imported when a verb runs."""
