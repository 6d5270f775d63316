"""Reports for people: the HTML page, pages of clips, figures, and the model card.

It may import `evaluation`, `inference` and the folders below them.
"""
