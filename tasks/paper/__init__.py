"""The data, prompts and protocol of "Training Language Models to Explain Their Own Computations".

arXiv:2511.08579; code yurekami/introspective-interp at f702be5 (MIT), datasets of Transluce (MIT).
"""
