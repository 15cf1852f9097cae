"""A stand-in for a library: what `pip install --target` would have put beside the function."""

from greeting.phrases import PHRASES


def greet(name: str, language: str = "en") -> str:
    """A greeting for `name`; an unknown language falls back to English."""
    return PHRASES.get(language, PHRASES["en"]).format(name=name)
