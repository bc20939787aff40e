"""One declaration per config entity; see ``resource.py`` for the language and ``registry.py`` for the list."""
