"""What works on this machine, what does not, and the one command that mends it."""

from recognition.doctor.examination import CHECKS, Check, examine
from recognition.doctor.findings import Finding

__all__ = ["CHECKS", "Check", "Finding", "examine"]
