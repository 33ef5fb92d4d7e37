"""Importing real handwriting of the CASIA-HWDB databases: docs/casia.md says where to ask for it."""
