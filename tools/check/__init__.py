"""Is this machine ready for class? Answers where next to nothing is installed: packages are imported late."""
