"""What `python -m asr` can do: one module per command, each with `main(argv) -> exit code`."""
