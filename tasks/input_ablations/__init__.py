"""Input ablations: what does the target answer once a part of its input is removed?"""
