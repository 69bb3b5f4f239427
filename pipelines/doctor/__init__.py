"""Checks everything that the pipeline depends on, from where it is run, and says what to do about each failure."""

from pipelines.doctor.examine import examine
from pipelines.doctor.findings import Check, Findings, report_text

__all__ = ["Check", "Findings", "examine", "report_text"]
