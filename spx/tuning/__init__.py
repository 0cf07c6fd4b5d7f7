"""`spx tune`: a search over a configuration's settings by validation alone.

No torch in this process: trials are others.
"""
