"""Addresses of servers and keys for them; a key is never part of a message."""

from __future__ import annotations

import os
from ipaddress import ip_address

import httpx

from ..errors import UsageError

_KEY = "OPENAI_API_KEY"


def default_key(url: str) -> str | None:
    """Return the variable whose key a server gets if nobody named one: OpenAI's, where it is safe.

    None if it is not set, or would go over plain http to another machine.
    """
    there = os.environ.get(_KEY, "").strip()
    return _KEY if there and not is_open(read_address(url)) else None


def read_address(base_url: str) -> httpx.URL:
    """Return where chat completions are asked for."""
    try:
        url = httpx.URL(base_url)
    except (httpx.InvalidURL, TypeError) as error:
        raise UsageError("the server's address cannot be read: expected http://HOST/v1") from error
    if url.scheme not in ("http", "https") or not url.host or url.userinfo or url.query:
        raise UsageError(
            "the server's address must be http(s)://HOST/PATH without a name, a password or a "
            "query; a key comes from an environment variable"
        )
    return httpx.URL(f"{str(url).rstrip('/')}/chat/completions")


def is_open(url: httpx.URL) -> bool:
    """Whether others can read what is sent: plain http that leaves this machine."""
    if url.scheme == "https" or url.host == "localhost":
        return False
    try:
        return not ip_address(url.host).is_loopback
    except ValueError:
        return True


def read_key(variable: str | None) -> str | None:
    """The key; surrounding white space, as a file of secrets leaves it, is dropped."""
    if variable is None:
        return None
    value = os.environ.get(variable, "").strip()
    if not value:
        raise UsageError(f"the environment variable {variable} holds no key; set it")
    if not value.isascii() or not value.isprintable():
        raise UsageError(f"the environment variable {variable} holds no key that a header can hold")
    return value
