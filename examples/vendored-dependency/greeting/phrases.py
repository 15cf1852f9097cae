"""What to say, by language."""

PHRASES = {
    "de": "Guten Tag, {name}!",
    "en": "Hello, {name}!",
    "fr": "Bonjour, {name} !",
}
