"""The verbs of the command line, one small module each: options in, one call of `api`, text out.

`api` is imported inside the functions: `--help` imports every verb and must stay fast.
"""
