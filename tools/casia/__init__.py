"""Importing real handwriting of the CASIA-HWDB databases into the course's folder layout.

The course needs none of it: it ships simulated handwriting. See docs/casia.md for where the data
are requested and under which terms, and `python -m tools.casia --help` for the command.

Liu, Yin, Wang and Wang (2011), CASIA online and offline Chinese handwriting databases, ICDAR,
doi:10.1109/ICDAR.2011.17.
"""
