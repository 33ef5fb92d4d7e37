"""Copies that make work quick: the shipped archive unpacked, folders of images packed."""
