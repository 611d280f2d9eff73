"""The bundle as a tree that tools for UAC collections open unchanged, as one PAX tar (export-v1, "uac")."""
