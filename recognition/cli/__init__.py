"""The command line: every verb is a few lines that call the library."""

import os

# Waiting threads give way. By default OpenMP's spin, and on two busy cores a training step then
# takes ten times as long. Read when torch is first imported, so it must be said before.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from recognition.cli.app import app, main

__all__ = ["app", "main"]
