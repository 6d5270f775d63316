"""Other people's corpora, and sound banks: their files -> data directories."""
