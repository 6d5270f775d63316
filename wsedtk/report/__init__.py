"""Write HTML pages with tables, figures and sounds, and write model cards.

This package may import `evaluation`, `inference`, and the packages that these two may import.
"""
