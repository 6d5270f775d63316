"""Sound files of every format, as samples, and the front end that makes log-mel features of them.

It may import `core`.
"""
