"""URLs of databases and servers as they may be shown: without their passwords."""

import re

# Up to the last @ of the word, since a password may hold one itself.
_USER_AND_PASSWORD = re.compile(r"(://[^\s/:@]*):\S*@")
_SECRET_SETTING = re.compile(r"\b((?:\w*password|passwd|pwd|\w*token|\w*secret)=)[^&\s'\"]+", re.IGNORECASE)


def without_password(text: str) -> str:
    """Replace every password of a URL, or of the URLs in a longer text, by `***`.

    Both places count: `scheme://user:password@host` and settings such as `?password=...`. Text without
    a password comes back as it is.
    """
    return _SECRET_SETTING.sub(r"\1***", _USER_AND_PASSWORD.sub(r"\1:***@", text))
