"""The shared library of the CNN workbook: small, flat, readable in an evening."""

__version__ = "0.1.0"
