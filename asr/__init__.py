"""Parlance's engine room: speech in, text out. Importable without a web server or a model."""
