"""`python -m recognition`, as torchrun begins it: `torchrun -m recognition train ...`."""

from recognition.cli import main

main()
