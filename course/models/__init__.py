"""The networks that lectures name, their data, and what is computed with them."""
