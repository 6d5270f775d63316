"""Corpora and banks of sounds, each prepared as data directories by one function.

It may import `evaluation`, `inference` and the folders below them.
"""
