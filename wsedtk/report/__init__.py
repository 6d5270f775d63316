"""Write HTML pages with tables, figures and sounds, and write model cards.

Of the other folders of wsedtk, this folder may import only `evaluation`, `inference`, and the
folders that these two may import.
"""
