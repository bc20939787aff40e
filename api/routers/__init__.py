"""Routes that are not CRUD, one module per resource.

The five verbs of config entities are ``api/crud.py``. A new module is named in ``api/app.py``.
"""
