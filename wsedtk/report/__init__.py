"""Write reports for readers: HTML pages with tables, figures and sounds, and the model card.

This package may import `evaluation`, `inference`, and the packages that these two may import.
"""
