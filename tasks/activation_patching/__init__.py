"""Activation patching: what does the target say after a vector replaces part of its stream?"""
