"""The address to connect to, from OLLAMA_HOST by the server's own rules (Ollama's envconfig.Host and
ConnectableHost)."""

from __future__ import annotations

import ipaddress
import re

DEFAULT = "http://127.0.0.1:11434"
CLOUD = "https://ollama.com:443"
_PORTS = {"http": "80", "https": "443"}


def parse_host(value: str) -> str:
    """The base URL, always with a port and without a trailing slash.

    - Spaces and one layer of quotes around the value are ignored; nothing is left: the default.
    - Without a scheme: http, port 11434 (but `ollama.com` is the cloud, by https). With one: its own port, 80 or 443.
    - A port that is missing, not a number or over 65535 is the default one; a path is kept.
    - An IPv6 address may stand bare or in brackets. Addresses to listen on are made ones to connect to: `:56789` and
      0.0.0.0 → 127.0.0.1, [::] → [::1].

    Raises ValueError for another scheme and for what cannot be a host's name.
    """
    text = value.strip().strip("\"'").strip()
    if text == "ollama.com":
        return CLOUD
    scheme, separator, rest = text.partition("://")
    if not separator:
        scheme, rest = "http", text
    elif scheme not in _PORTS:
        raise ValueError(f"the address of the Ollama server begins with http:// or https://, not {scheme}://")
    default_port = _PORTS[scheme] if separator else "11434"
    authority, _, path = rest.partition("/")
    host, port = _split(authority, default_port)
    path = path.strip("/")
    return f"{scheme}://{_connectable(host)}:{port}" + (f"/{path}" if path else "")


def _split(authority: str, default_port: str) -> tuple[str, str]:
    """(host, port) as Go's net.SplitHostPort finds them, or the whole as a host."""
    bracketed = re.fullmatch(r"\[([^\[\]]*)\]:([^:\[\]]*)|([^:\[\]]*):([^:\[\]]*)", authority)
    if not bracketed:
        return authority, default_port
    host = bracketed[1] if bracketed[1] is not None else bracketed[3]
    port = bracketed[2] if bracketed[2] is not None else bracketed[4]
    good = re.fullmatch(r"0*[0-9]{1,5}", port, re.ASCII) and int(port) <= 65535
    return host, str(int(port)) if good else default_port


def _connectable(host: str) -> str:
    if not host:
        return "127.0.0.1"
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        if not re.fullmatch(r"[^\s/?#@:\[\]\\]+", host):
            raise ValueError(f"{host!r} cannot be the name of an Ollama server") from None
        return host
    address = getattr(address, "ipv4_mapped", None) or address
    if address.is_unspecified:
        return "127.0.0.1" if address.version == 4 else "[::1]"
    return str(address) if address.version == 4 else f"[{address}]"
