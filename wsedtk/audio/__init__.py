"""Sound files of all formats (decode, resample, write), and the log-mel front end.

It may import `core`.
"""
