"""Secrets leave what is read before it is hashed or stored, and who may read the originals."""
