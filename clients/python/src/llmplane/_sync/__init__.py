# Made by generate.py; edit _async/__init__.py instead.
